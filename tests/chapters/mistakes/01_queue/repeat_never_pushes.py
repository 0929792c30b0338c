"""Only a new job is pushed."""

from scheduler.jobs import insert_job

TEST = "test_task_6_pushes_a_repeat_while_the_job_is_queued"
SAYS = "the repeat pushed nothing"


async def submit_job(app, new):
    job, created = await insert_job(app, new)
    if created:
        await app.queue.push(job)
    return job.task_id
