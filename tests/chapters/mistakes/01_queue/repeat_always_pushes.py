"""Every repeat is pushed."""

from scheduler.jobs import insert_job

TEST = "test_task_6_pushes_no_repeat_of_a_job_that_is_not_queued"
SAYS = "look at job.status first"


async def submit_job(app, new):
    job, _ = await insert_job(app, new)
    await app.queue.push(job)
    return job.task_id
