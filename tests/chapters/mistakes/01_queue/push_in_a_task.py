"""push begins the command, and does not wait for it."""

import asyncio

from scheduler.job_queue import encode_entry, queue_name
from scheduler.redis_clients import patient

TEST = "test_task_3_pushes_the_entry_to_the_queue_of_its_priority"
SAYS = "nothing in Redis when push returns, and something a little later"


class JobQueue:
    def __init__(self, redis):
        self.redis = redis
        self.blocking = patient(redis)

    async def push_many(self, jobs):
        for job in jobs:
            await self.push(job)

    async def close(self):
        await self.redis.aclose()
        await self.blocking.aclose()

    async def push(self, job):
        self._push = asyncio.ensure_future(self.redis.lpush(queue_name(job.priority), encode_entry(job)))
        await asyncio.sleep(0)
