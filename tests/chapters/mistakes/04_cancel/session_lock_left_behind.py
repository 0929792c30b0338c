"""A session's lock is taken first, and not given back where no row came: the connection keeps it in its pool."""

from scheduler.jobs import Job

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "(failed): expected [], got ['an advisory lock']"

KEY = "hashtextextended(%s::text, 0)"
CANCEL = """
    UPDATE tasks
    SET status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL,
        lease_expires_at = NULL, version = version + 1, updated_at = now()
    WHERE task_id = %s AND status IN ('queued', 'retry', 'running')
    RETURNING *
"""


async def cancel_in_database(app, task_id):
    async def work(connection):
        await connection.execute(f"SELECT pg_advisory_lock({KEY})", [task_id])
        row = await (await connection.execute(CANCEL, [task_id])).fetchone()
        if row is None:
            return None
        await connection.execute(f"SELECT pg_advisory_unlock({KEY})", [task_id])
        return Job.from_row(row)

    return await app.db.transaction(work)
