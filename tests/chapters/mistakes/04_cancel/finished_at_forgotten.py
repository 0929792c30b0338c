"""The statement of the old guide: it sets the status and updated_at. A constraint refuses the row."""

from scheduler.jobs import Job

TEST = "test_task_1_cancels_a_job_that_has_not_ended"
SAYS = "finished job has finished at"


async def cancel_in_database(app, task_id):
    row = await app.db.fetch_one(
        "UPDATE tasks SET status = 'cancelled', pushed_at = NULL, lease_expires_at = NULL, next_run_at = NULL, "
        "updated_at = now() WHERE task_id = %s AND status IN ('queued', 'running', 'retry') RETURNING *",
        [task_id],
    )
    return Job.from_row(row) if row else None
