"""The entry is pushed before the row is there."""

from scheduler.jobs import insert_job

TEST = "test_task_5_pushes_nothing_that_the_database_refused"
SAYS = "insert first, push afterwards"


async def submit_job(app, new):
    await app.queue.push(new)
    job, _ = await insert_job(app, new)
    return job.task_id
