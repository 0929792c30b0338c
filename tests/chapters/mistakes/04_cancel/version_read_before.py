"""The new version is one more than one that was read before."""

from scheduler.jobs import Job, get_job_row

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "version: expected 7, got 6"

SET = "status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL, lease_expires_at = NULL, updated_at = now()"


async def cancel_in_database(app, task_id):
    job = await get_job_row(app, task_id)
    if job is None:
        return None
    row = await app.db.fetch_one(
        f"UPDATE tasks SET {SET}, version = %s WHERE task_id = %s AND status IN ('queued', 'running', 'retry') RETURNING *",
        [job.version + 1, task_id],
    )
    return Job.from_row(row) if row else None
