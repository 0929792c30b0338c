"""A connection that broke is worth a second try."""

from scheduler.job_queue import encode_entry, queue_name
from scheduler.redis_clients import patient
from redis.exceptions import ConnectionError, TimeoutError

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "how often one push asks a Redis that reads the command and hangs up: expected 1, got 2"


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
        try:
            await self.redis.lpush(name, entry)
        except (ConnectionError, TimeoutError):
            await self.redis.lpush(name, entry)
