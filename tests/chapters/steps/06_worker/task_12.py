UPDATE = """
    UPDATE tasks
    SET status = %(status)s, last_error = %(error)s, worker = NULL, lease_expires_at = NULL,
        next_run_at = CASE WHEN %(status)s = 'retry' THEN now() + %(delay)s * interval '1 second' END,
        finished_at = CASE WHEN %(status)s = 'retry' THEN NULL ELSE now() END,
        version = version + 1, updated_at = now()
    WHERE task_id = %(id)s AND status = 'running' AND attempts = %(attempt)s
    RETURNING *
"""
INSERT = """
    INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error)
    VALUES (%s, %s, %s, now(), %s, %s)
"""


async def finish(app, job, outcome):
    values = {
        "id": job.task_id,
        "attempt": job.attempts,
        "status": str(outcome.status),
        "error": outcome.error,
        "delay": outcome.delay,
    }

    async def work(connection):
        row = await (await connection.execute(UPDATE, values)).fetchone()
        if row is None:
            return False
        ok = row["status"] == "succeeded"
        await connection.execute(
            INSERT, [row["task_id"], row["attempts"], row["started_at"], ok, row["last_error"]]
        )
        return True

    return await app.db.transaction(work)
