"""Looks, then writes if the version is still the one it saw, and looks again until one of the two holds."""

from scheduler.jobs import Job, get_job_row

TASKS = [1]

OPEN = {"queued", "running", "retry"}


async def cancel_in_database(app, task_id):
    while (job := await get_job_row(app, task_id)) is not None and job.status in OPEN:
        row = await app.db.fetch_one(
            """UPDATE tasks SET status = 'cancelled', finished_at = now(), worker = NULL, version = %s,
               updated_at = now(), pushed_at = NULL, next_run_at = NULL, lease_expires_at = NULL
               WHERE task_id = %s AND version = %s RETURNING *""",
            [job.version + 1, task_id, job.version],
        )
        if row is not None:
            return Job.from_row(row)
    return None
