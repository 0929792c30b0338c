"""LREM's count and value change places."""

TEST = "test_task_2_removes_the_entry"
SAYS = "its arguments are the list, the count, the value"


async def remove_entry(app, job):
    return await app.queue.redis.lrem(app.parts.queue_name(job.priority), app.parts.encode_entry(job), 0)
