"""SELECT, and then UPDATE by the id."""

TEST = "test_task_13_loses_against_a_heartbeat"
SAYS = "belongs into the WHERE of the UPDATE"

REAP = """
    UPDATE tasks
    SET status = CASE WHEN attempts < max_attempts THEN 'retry' ELSE 'deadletter' END,
        next_run_at = CASE WHEN attempts < max_attempts THEN now() END,
        finished_at = CASE WHEN attempts < max_attempts THEN NULL ELSE now() END,
        last_error = 'the lease ran out', worker = NULL, lease_expires_at = NULL,
        version = version + 1, updated_at = now()
    WHERE task_id = ANY(%s) AND status = 'running'
    RETURNING *
"""
INSERT = """
    INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error)
    VALUES (%(task_id)s, %(attempts)s, %(started_at)s, now(), false, 'the lease ran out')
"""


async def reap(app):
    async def work(connection):
        look = "SELECT task_id FROM tasks WHERE status = 'running' AND lease_expires_at < now()"
        found = await (await connection.execute(look)).fetchall()
        rows = await (await connection.execute(REAP, [[row["task_id"] for row in found]])).fetchall()
        for row in rows:
            await connection.execute(INSERT, row)
        return len(rows)

    return await app.db.transaction(work)
