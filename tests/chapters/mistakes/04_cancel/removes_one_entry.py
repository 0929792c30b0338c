"""Of several equal entries it removes one."""

TEST = "test_task_2_removes_every_entry_of_the_job"
SAYS = "LREM's count 0 means all"


async def remove_entry(app, job):
    return await app.queue.redis.lrem(app.parts.queue_name(job.priority), 1, app.parts.encode_entry(job))
