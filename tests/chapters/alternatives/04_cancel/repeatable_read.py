"""One snapshot: if the row has changed since, the UPDATE fails with 40001, and `transaction` runs all of it again."""

from scheduler.jobs import Job, Status

TASKS = [1, 4]

CANCEL = """
    UPDATE tasks
    SET status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL,
        lease_expires_at = NULL, version = version + 1, updated_at = now()
    WHERE task_id = %s AND status = %s
    RETURNING *
"""


async def cancel_in_database(app, task_id):
    async def work(connection):
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        seen = await (
            await connection.execute("SELECT status FROM tasks WHERE task_id = %s", [task_id])
        ).fetchone()
        if seen is None or Status(seen["status"]).is_terminal:
            return None
        row = await (await connection.execute(CANCEL, [task_id, seen["status"]])).fetchone()
        return Job.from_row(row) if row else None

    return await app.db.transaction(work)
