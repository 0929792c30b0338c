"""queued_at is reset."""

from scheduler.jobs import Job

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "queued_at: expected"

SET = "status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL, lease_expires_at = NULL, updated_at = now()"


async def cancel_in_database(app, task_id):
    row = await app.db.fetch_one(
        f"UPDATE tasks SET {SET}, queued_at = created_at, version = version + 1 WHERE task_id = %s AND status IN ('queued', 'running', 'retry') RETURNING *",
        [task_id],
    )
    return Job.from_row(row) if row else None
