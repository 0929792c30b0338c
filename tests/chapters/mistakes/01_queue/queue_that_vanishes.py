"""The list is dropped after an hour."""

from scheduler.redis_clients import patient
from scheduler.job_queue import encode_entry, queue_name

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "a list that Redis drops after some time"


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
        await self.redis.lpush(name, encode_entry(job))
        await self.redis.expire(name, 3600)
