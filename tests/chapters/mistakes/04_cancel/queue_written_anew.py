"""It reads the queue, deletes it, and writes back what should stay."""

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "entries are lost"


async def remove_entry(app, job):
    redis, name, entry = app.queue.redis, app.parts.queue_name(job.priority), app.parts.encode_entry(job)
    entries = await redis.lrange(name, 0, -1)
    kept = [one for one in entries if one != entry]
    if len(kept) < len(entries):
        await redis.delete(name)
        if kept:
            await redis.rpush(name, *kept)
    return len(entries) - len(kept)
