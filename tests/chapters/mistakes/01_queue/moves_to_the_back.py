"""A job waits once: its older entry is taken out, and its place is lost."""

from scheduler.job_queue import encode_entry, queue_name
from scheduler.redis_clients import patient

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "after pushes of job 1, then job 2, then job 1"


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
        async with self.redis.pipeline(transaction=True) as pipe:
            await pipe.lrem(name, 0, entry).lpush(name, entry).execute()
