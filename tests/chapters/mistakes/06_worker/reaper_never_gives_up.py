"""A job that kills its worker is tried for ever."""

TEST = "test_task_13_ends_an_attempt_whose_lease_ran_out"
SAYS = "must come to an end"

REAP = """
    UPDATE tasks
    SET status = 'retry',
        next_run_at = now(),
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
        for row in rows:
            await connection.execute(INSERT, row)
        return len(rows)

    return await app.db.transaction(work)
