"""The attempt leaves no row."""

TEST = "test_task_13_writes_a_row_for_the_attempt"
SAYS = "rows of task_attempts after reap"

REAP = """
    UPDATE tasks
    SET status = CASE WHEN attempts < max_attempts THEN 'retry' ELSE 'deadletter' END,
        next_run_at = CASE WHEN attempts < max_attempts THEN now() END,
        finished_at = CASE WHEN attempts < max_attempts THEN NULL ELSE now() END,
        last_error = 'the lease ran out', worker = NULL, lease_expires_at = NULL,
        version = version + 1, updated_at = now()
    WHERE status = 'running' AND lease_expires_at < now()
    RETURNING *
"""
INSERT = """
    INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error)
    VALUES (%(task_id)s, %(attempts)s, %(started_at)s, now(), false, 'the lease ran out')
"""


async def reap(app):
    async def work(connection):
        rows = await (await connection.execute(REAP)).fetchall()
        return len(rows)

    return await app.db.transaction(work)
