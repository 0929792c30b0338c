"""Where nobody answers, connect asks again after a moment."""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import ConnectionError, TimeoutError
from scheduler.job_queue import JobQueue
from scheduler.redis_clients import quick

TEST = "test_task_4_gives_up_when_redis_says_nothing"
SAYS = "one try is enough"


async def connect(settings):
    redis = Redis(**settings.redis_address(), **quick())
    try:
        for pause in (0.01, 0.02):
            try:
                await redis.ping()
                return JobQueue(redis)
            except (ConnectionError, TimeoutError):
                await asyncio.sleep(pause)
        await redis.ping()
    except BaseException:
        await redis.aclose()
        raise
    return JobQueue(redis)
