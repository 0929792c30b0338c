"""The ping is never awaited."""

from redis.asyncio import Redis
from scheduler.job_queue import JobQueue
from scheduler.redis_clients import quick

TEST = "test_task_4_fails_at_once_when_nobody_answers"
SAYS = "without await"


async def connect(settings):
    client = Redis(**settings.redis_address(), **quick())
    client.ping()
    return JobQueue(client)
