"""A deadline shorter than the client's raises Python's own TimeoutError."""

import asyncio

from scheduler.job_queue import encode_entry, queue_name
from scheduler.redis_clients import patient

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "never answers: expected 'an error of redis-py', got 'builtins.TimeoutError'"


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
        async with asyncio.timeout(0.25):
            await self.redis.lpush(queue_name(job.priority), encode_entry(job))
