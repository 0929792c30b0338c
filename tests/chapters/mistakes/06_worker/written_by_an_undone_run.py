"""Whether it was written is remembered from a run of `work` that the database undid."""

TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "and the first became retry in between: the answer: expected False, got True"

UPDATE = """
    UPDATE tasks
    SET status = %(status)s::text, last_error = %(error)s, worker = NULL, lease_expires_at = NULL,
        next_run_at = CASE WHEN %(status)s = 'retry' THEN now() + %(delay)s::float8 * interval '1 second' END,
        finished_at = CASE WHEN %(status)s = 'retry' THEN NULL ELSE now() END,
        version = version + 1, updated_at = now()
    WHERE task_id = %(id)s AND attempts = %(attempt)s AND status = 'running'
    RETURNING *
"""
INSERT = """
    INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error)
    VALUES (%s, %s, %s, now(), %s, %s)
"""


async def finish(app, job, outcome):
    values = {"id": job.task_id, "attempt": job.attempts, "status": str(outcome.status)}
    values |= {"error": outcome.error, "delay": outcome.delay}
    written = False

    async def work(connection):
        nonlocal written
        cursor = await connection.execute(UPDATE, values)
        if await cursor.fetchone() is None:
            return
        ok = outcome.status == "succeeded"
        await connection.execute(INSERT, [job.task_id, job.attempts, job.started_at, ok, outcome.error])
        written = True

    await app.db.transaction(work)
    return written
