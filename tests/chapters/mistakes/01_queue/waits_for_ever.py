"""The client has no timeouts."""

from redis.asyncio import Redis
from scheduler.job_queue import JobQueue

TEST = "test_task_4_gives_up_when_redis_says_nothing"
SAYS = "the timeouts of quick()"


async def connect(settings):
    client = Redis(**settings.redis_address(), socket_timeout=None)
    try:
        await client.ping()
    except BaseException:
        await client.aclose()
        raise
    return JobQueue(client)
