"""A row that somebody else has locked is passed over, as in a queue."""

from scheduler.jobs import Job

TEST = "test_task_4_cancels_a_job_that_a_worker_claims_first"
SAYS = "CancelJob had answered false already"

CANCEL = """
    UPDATE tasks
    SET status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL,
        lease_expires_at = NULL, version = version + 1, updated_at = now()
    WHERE task_id = (
        SELECT task_id FROM tasks
        WHERE task_id = %s AND status IN ('queued', 'retry', 'running')
        FOR UPDATE SKIP LOCKED
    )
    RETURNING *
"""


async def cancel_in_database(app, task_id):
    row = await app.db.fetch_one(CANCEL, [task_id])
    return Job.from_row(row) if row else None
