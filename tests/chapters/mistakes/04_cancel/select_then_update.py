"""The row is looked at first, and written by its id alone."""

from scheduler.jobs import Job, get_job_row

TEST = "test_task_1_leaves_a_job_that_ends_at_the_same_moment"
SAYS = "between your look and your write"


async def cancel_in_database(app, task_id):
    job = await get_job_row(app, task_id)
    if job is None or job.status.is_terminal:
        return None
    row = await app.db.fetch_one(
        "UPDATE tasks SET status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL, "
        "lease_expires_at = NULL, version = version + 1, updated_at = now() WHERE task_id = %s RETURNING *",
        [task_id],
    )
    return Job.from_row(row)
