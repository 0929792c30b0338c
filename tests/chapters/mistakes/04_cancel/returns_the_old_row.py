"""It returns what it saw before the UPDATE."""

from scheduler.api import cancel_job
from scheduler.jobs import get_job_row

TEST = "test_task_1_returns_the_job_as_it_is_then"
SAYS = "the job as it was before"


async def cancel_in_database(app, task_id):
    job = await get_job_row(app, task_id)
    row = await app.db.fetch_one(cancel_job.CANCEL, [task_id])
    return job if row else None
