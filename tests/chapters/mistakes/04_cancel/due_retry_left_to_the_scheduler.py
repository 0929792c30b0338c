"""A retry that is due is not cancelled."""

from scheduler.jobs import Job

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "its retry is long due"


async def cancel_in_database(app, task_id):
    row = await app.db.fetch_one(
        """
        UPDATE tasks
        SET status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL,
            lease_expires_at = NULL, version = version + 1, updated_at = now()
        WHERE task_id = %s
          AND (status IN ('queued', 'running') OR (status = 'retry' AND next_run_at > now()))
        RETURNING *
        """,
        [task_id],
    )
    return Job.from_row(row) if row else None
