"""A cancelled row keeps its lease. A constraint refuses it."""

from scheduler.api import cancel_job
from scheduler.jobs import Job

TEST = "test_task_1_cancels_a_job_that_has_not_ended"
SAYS = "running job has a lease"


async def cancel_in_database(app, task_id):
    row = await app.db.fetch_one(cancel_job.CANCEL.replace(", lease_expires_at = NULL", ""), [task_id])
    return Job.from_row(row) if row else None
