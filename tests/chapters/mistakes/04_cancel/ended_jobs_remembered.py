"""Jobs that had ended are remembered."""

from scheduler.jobs import Job

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "then somebody "

SET = "status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL, lease_expires_at = NULL, updated_at = now()"


ended = set()


async def cancel_in_database(app, task_id):
    if task_id in ended:
        return None
    row = await app.db.fetch_one(
        f"UPDATE tasks SET {SET}, version = version + 1 WHERE task_id = %s AND status IN ('queued', 'running', 'retry') RETURNING *",
        [task_id],
    )
    if row is None:
        ended.add(task_id)
        return None
    return Job.from_row(row)
