"""It removes one entry after the other until none is left."""

TASKS = [2]


async def remove_entry(app, job):
    removed = 0
    while await app.queue.redis.lrem(app.parts.queue_name(job.priority), 1, app.parts.encode_entry(job)):
        removed += 1
    return removed
