"""A refused password and a Redis that is away are told by the same error, with a helpful sentence."""

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from scheduler.job_queue import JobQueue
from scheduler.redis_clients import quick

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "got 'an error that says that Redis is away"


async def connect(settings):
    redis = Redis(**settings.redis_address(), **quick())
    try:
        await redis.ping()
    except RedisError as error:
        await redis.aclose()
        raise RedisConnectionError("no Redis answers: see REDIS_HOST and REDIS_PORT") from error
    return JobQueue(redis)
