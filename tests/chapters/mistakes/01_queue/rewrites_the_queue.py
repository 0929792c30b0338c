"""The queue is read, deleted and written anew."""

from scheduler.redis_clients import patient
from scheduler.job_queue import encode_entry, queue_name

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "at the same time in two processes"


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
        entries = await self.redis.lrange(name, 0, -1)
        await self.redis.delete(name)
        await self.redis.rpush(name, encode_entry(job), *entries)
