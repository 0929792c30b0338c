"""Nobody asks whether Redis is there."""

from redis.asyncio import Redis
from scheduler.job_queue import JobQueue
from scheduler.redis_clients import quick

TEST = "test_task_4_fails_at_once_when_nobody_answers"
SAYS = "ping it"


async def connect(settings):
    return JobQueue(Redis(**settings.redis_address(), **quick()))
