"""The id comes back as text."""

from scheduler.jobs import insert_job

TEST = "test_task_5_inserts_the_job_and_returns_its_id"
SAYS = "return the UUID"


async def submit_job(app, new):
    job, _ = await insert_job(app, new)
    await app.queue.push(job)
    return str(job.task_id)
