"""It finds the entry's place, marks it, and removes the mark."""

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "entries are lost"


async def remove_entry(app, job):
    redis, name, entry = app.queue.redis, app.parts.queue_name(job.priority), app.parts.encode_entry(job)
    removed = 0
    entries = await redis.lrange(name, 0, -1)
    for place, one in enumerate(entries):
        if one == entry:
            await redis.lset(name, place, b"gone")
            removed += 1
    await redis.lrem(name, 0, b"gone")
    return removed
