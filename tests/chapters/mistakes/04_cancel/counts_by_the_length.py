"""The number is how much shorter the queue became."""

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "and others push meanwhile"


async def remove_entry(app, job):
    redis, name, entry = app.queue.redis, app.parts.queue_name(job.priority), app.parts.encode_entry(job)
    before = await redis.llen(name)
    await redis.lrem(name, 0, entry)
    return before - await redis.llen(name)
