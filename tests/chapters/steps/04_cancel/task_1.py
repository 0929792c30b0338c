from scheduler.jobs import Job

SQL = """
    UPDATE tasks SET status = 'cancelled', finished_at = now(), updated_at = now(), version = version + 1,
        pushed_at = NULL, next_run_at = NULL, lease_expires_at = NULL
    WHERE task_id = %s AND status IN ('queued', 'running', 'retry')
    RETURNING *
"""


async def cancel_in_database(app, task_id):
    row = await app.db.fetch_one(SQL, [task_id])
    return Job.from_row(row) if row else None
