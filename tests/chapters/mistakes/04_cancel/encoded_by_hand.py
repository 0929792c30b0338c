"""The entry is spelled a second time, without escaping the type."""

TEST = "test_task_2_finds_the_entry_of_any_type"
SAYS = "you spelled its bytes anew and differently"


async def remove_entry(app, job):
    entry = f'{{"task_id":"{job.task_id}","type":"{job.type}","priority":"{job.priority}"}}'
    return await app.queue.redis.lrem(app.parts.queue_name(job.priority), 0, entry)
