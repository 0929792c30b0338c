"""An exit stack closes the client unless the end is reached; its pool is small, and lets commands wait."""

from contextlib import AsyncExitStack

from redis.asyncio import BlockingConnectionPool, Redis
from scheduler.job_queue import encode_entry, queue_name
from scheduler.redis_clients import patient, quick

TASKS = [3, 4]


class JobQueue:
    def __init__(self, redis):
        self.redis = redis
        self.blocking = patient(redis)

    async def push(self, job):
        await self.redis.execute_command("LPUSH", queue_name(job.priority), encode_entry(job))

    async def push_many(self, jobs):
        for job in jobs:
            await self.push(job)

    async def close(self):
        await self.redis.aclose()
        await self.blocking.aclose()


async def connect(settings):
    async with AsyncExitStack() as undo:
        pool = BlockingConnectionPool(max_connections=4, timeout=20, **settings.redis_address(), **quick())
        redis = Redis.from_pool(pool)
        undo.push_async_callback(redis.aclose)
        await redis.execute_command("PING")
        undo.pop_all()
        return JobQueue(redis)
