"""insert_job is never awaited."""

from scheduler.jobs import insert_job

TEST = "test_task_5_inserts_the_job_and_returns_its_id"
SAYS = "without await"


async def submit_job(app, new):
    insert_job(app, new)
    await app.queue.push(new)
    return new.task_id
