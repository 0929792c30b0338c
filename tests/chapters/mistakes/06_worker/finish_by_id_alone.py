"""By the id alone: whatever happened meanwhile is overwritten."""

TEST = "test_task_6_loses_against_a_cancel"
SAYS = "wrote succeeded over it"

UPDATE = """
    UPDATE tasks
    SET status = %(status)s, last_error = %(error)s, worker = NULL, lease_expires_at = NULL,
        next_run_at = CASE WHEN %(status)s = 'retry' THEN now() + %(delay)s * interval '1 second' END,
        finished_at = CASE WHEN %(status)s = 'retry' THEN NULL ELSE now() END,
        version = version + 1, updated_at = now()
    WHERE task_id = %(id)s
    RETURNING *
"""
INSERT = """
    INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error)
    VALUES (%s, %s, %s, now(), %s, %s)
"""


def values(job, outcome):
    fields = {
        "id": job.task_id,
        "status": str(outcome.status),
        "error": outcome.error,
        "delay": outcome.delay,
    }
    return fields, [job.task_id, job.attempts, job.started_at, outcome.error is None, outcome.error]


async def finish(app, job, outcome):
    fields, attempt = values(job, outcome)

    async def work(connection):
        await connection.execute(UPDATE, fields)
        await connection.execute(INSERT, attempt)
        return True

    return await app.db.transaction(work)
