"""A job that waits for a retry is not cancelled."""

from scheduler.api import cancel_job
from scheduler.jobs import Job

TEST = "test_task_1_cancels_a_job_that_has_not_ended"
SAYS = "a job that waits for a retry has not ended either"


async def cancel_in_database(app, task_id):
    row = await app.db.fetch_one(cancel_job.CANCEL.replace("'queued', 'retry', ", "'queued', "), [task_id])
    return Job.from_row(row) if row else None
