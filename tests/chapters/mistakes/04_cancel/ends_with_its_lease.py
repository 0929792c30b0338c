"""A running job's finished_at becomes its start."""

from scheduler.jobs import Job

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "finished_at: expected 'now'"


async def cancel_in_database(app, task_id):
    row = await app.db.fetch_one(
        "UPDATE tasks SET status = 'cancelled', finished_at = greatest(now(), lease_expires_at), pushed_at = NULL, next_run_at = NULL, lease_expires_at = NULL, updated_at = now(), version = version + 1 WHERE task_id = %s AND status IN ('queued', 'running', 'retry') RETURNING *",
        [task_id],
    )
    return Job.from_row(row) if row else None
