"""A repeat is answered with its own id."""

from scheduler.jobs import insert_job

TEST = "test_task_6_answers_a_repeat_with_the_first_id"
SAYS = "return that one's id"


async def submit_job(app, new):
    job, created = await insert_job(app, new)
    if created:
        await app.queue.push(job)
    return new.task_id
