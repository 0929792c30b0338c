async def remove_entry(app, job):
    name = app.parts.queue_name(job.priority)
    entry = app.parts.encode_entry(job)
    return await app.queue.redis.lrem(name, 0, entry)
