"""`push_many` sends one pipeline, and never looks at the answers in it."""

from scheduler.job_queue import encode_entry, queue_name
from scheduler.redis_clients import patient

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "is no list but a string: expected 'an error of redis-py', got 'no error'"


class JobQueue:
    def __init__(self, redis):
        self.redis = redis
        self.blocking = patient(redis)

    async def push_many(self, jobs):
        async with self.redis.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.lpush(queue_name(job.priority), encode_entry(job))
            await pipe.execute(raise_on_error=False)

    async def close(self):
        await self.redis.aclose()
        await self.blocking.aclose()

    async def push(self, job):
        await self.redis.lpush(queue_name(job.priority), encode_entry(job))
