"""It reads the queue, and writes it anew in one transaction."""

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "entries are lost"


async def remove_entry(app, job):
    redis, name, entry = app.queue.redis, app.parts.queue_name(job.priority), app.parts.encode_entry(job)
    entries = await redis.lrange(name, 0, -1)
    kept = [one for one in entries if one != entry]
    async with redis.pipeline(transaction=True) as pipe:
        pipe.delete(name)
        if kept:
            pipe.rpush(name, *kept)
        await pipe.execute()
    return len(entries) - len(kept)
