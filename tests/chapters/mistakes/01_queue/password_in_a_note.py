"""A note of the error says what was tried, and so the password: a traceback writes it."""

from redis.asyncio import Redis
from redis.exceptions import RedisError
from scheduler.job_queue import JobQueue
from scheduler.redis_clients import quick

TEST = "test_task_7_agrees_with_the_reference_on_every_input"
SAYS = "a note of the error: while connecting with {'host': '127.0.0.1'"


async def connect(settings):
    address = settings.redis_address()
    redis = Redis(**address, **quick())
    try:
        await redis.ping()
    except RedisError as error:
        await redis.aclose()
        error.add_note(f"while connecting with {address}")
        raise
    return JobQueue(redis)
