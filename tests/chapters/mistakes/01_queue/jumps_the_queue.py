"""A job that is pushed again has waited long enough, and goes first."""

from scheduler.job_queue import encode_entry, queue_name
from scheduler.redis_clients import patient

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "in which order workers get the jobs"


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
        name, entry = queue_name(job.priority), encode_entry(job)
        if await self.redis.lpos(name, entry) is None:
            await self.redis.lpush(name, entry)
        else:
            await self.redis.rpush(name, entry)
