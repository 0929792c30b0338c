"""The client is given a pool, which its `aclose` leaves open."""

from redis.asyncio import ConnectionPool, Redis
from scheduler.job_queue import JobQueue
from scheduler.redis_clients import quick

TEST = "test_task_4_leaves_nothing_open_when_redis_refuses"
SAYS = "if the client was given a pool (connection_pool=…), close that too"


async def connect(settings):
    redis = Redis(connection_pool=ConnectionPool(**settings.redis_address(), **quick()))
    try:
        await redis.ping()
    except BaseException:
        await redis.aclose()
        raise
    return JobQueue(redis)
