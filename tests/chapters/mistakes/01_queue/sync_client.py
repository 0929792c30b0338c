"""The client is the one that blocks."""

from redis import Redis
from scheduler.job_queue import JobQueue

TEST = "test_task_4_connects_to_the_redis_of_the_settings"
SAYS = "use redis.asyncio's"


class Blocking(JobQueue):
    def __init__(self, redis):
        self.redis = redis

    async def push(self, job):
        self.redis.lpush("q:high", b"")

    async def close(self):
        self.redis.close()


async def connect(settings):
    client = Redis(**settings.redis_address())
    client.ping()
    return Blocking(client)
