"""A list that grows for ever fills Redis, so the oldest entries go."""

from scheduler.job_queue import encode_entry, queue_name
from scheduler.redis_clients import patient

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "after one push, where 100001 entries waited before: expected 100002, got 10000"


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
        name = queue_name(job.priority)
        if await self.redis.lpush(name, encode_entry(job)) > 10_000:
            await self.redis.ltrim(name, 0, 9_999)
