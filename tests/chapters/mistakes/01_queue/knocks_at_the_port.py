"""A port that is open is taken for a Redis that answers."""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import ConnectionError
from scheduler.job_queue import JobQueue
from scheduler.redis_clients import quick

TEST = "test_task_4_leaves_nothing_open_when_redis_refuses"
SAYS = "a port that is open proves little"


async def connect(settings):
    try:
        _, writer = await asyncio.open_connection(settings.redis_host, settings.redis_port)
    except OSError as error:
        raise ConnectionError("nobody is there") from error
    writer.close()
    return JobQueue(Redis(**settings.redis_address(), **quick()))
