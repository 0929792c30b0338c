"""`push_many` sends one LPUSH a list, as if its first value came to stand on the left."""

from scheduler.job_queue import encode_entry, queue_name
from scheduler.redis_clients import patient

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "in which order workers get what waits, after one push_many of"


class JobQueue:
    def __init__(self, redis):
        self.redis = redis
        self.blocking = patient(redis)

    async def push_many(self, jobs):
        for name in dict.fromkeys(queue_name(job.priority) for job in jobs):
            entries = [encode_entry(job) for job in jobs if queue_name(job.priority) == name]
            await self.redis.lpush(name, *reversed(entries))

    async def close(self):
        await self.redis.aclose()
        await self.blocking.aclose()

    async def push(self, job):
        await self.redis.lpush(queue_name(job.priority), encode_entry(job))
