"""A client that failed stays open."""

from redis.asyncio import Redis
from scheduler.job_queue import JobQueue
from scheduler.redis_clients import quick

TEST = "test_task_4_leaves_nothing_open_when_redis_refuses"
SAYS = "left its connection open"

_kept = []


async def connect(settings):
    client = Redis(**settings.redis_address(), **quick())
    _kept.append(client)
    await client.ping()
    return JobQueue(client)
