"""WATCH, read, and write the queue anew in a transaction, until nobody pushed meanwhile."""

from redis.exceptions import WatchError

TASKS = [2]


async def remove_entry(app, job):
    name, entry = app.parts.queue_name(job.priority), app.parts.encode_entry(job)
    async with app.queue.redis.pipeline() as pipe:
        while True:
            await pipe.watch(name)
            entries = await pipe.lrange(name, 0, -1)
            kept = [one for one in entries if one != entry]
            pipe.multi()
            pipe.delete(name)
            if kept:
                pipe.rpush(name, *kept)
            try:
                await pipe.execute()
            except WatchError:
                continue
            return len(entries) - len(kept)
