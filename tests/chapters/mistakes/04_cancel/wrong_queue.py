"""It looks in the default queue alone."""

TEST = "test_task_2_removes_the_entry"
SAYS = "look in the queue of the job's priority"


async def remove_entry(app, job):
    return await app.queue.redis.lrem("q:default", 0, app.parts.encode_entry(job))
