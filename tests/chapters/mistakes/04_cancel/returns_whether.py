"""It returns whether it worked, not the job."""

from scheduler.api import cancel_job

TEST = "test_task_1_returns_the_job_as_it_is_then"
SAYS = "the caller needs the job itself"


async def cancel_in_database(app, task_id):
    return await app.db.fetch_one(cancel_job.CANCEL, [task_id]) is not None
