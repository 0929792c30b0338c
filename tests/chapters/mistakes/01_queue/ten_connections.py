"""The client has ten connections at most, and its pool does not wait for a free one: it refuses."""

from redis.asyncio import Redis
from scheduler.job_queue import encode_entry, queue_name
from scheduler.redis_clients import patient, quick

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "got ['MaxConnectionsError: Too many connections', 'no error']"


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
        await self.redis.lpush(queue_name(job.priority), encode_entry(job))


async def connect(settings):
    redis = Redis(**settings.redis_address(), max_connections=10, **quick())
    try:
        await redis.ping()
    except BaseException:
        await redis.aclose()
        raise
    return JobQueue(redis)
