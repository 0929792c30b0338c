"""The ping is sent by the client that blocks."""

import redis
from redis.asyncio import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from scheduler.job_queue import JobQueue
from scheduler.redis_clients import quick

TEST = "test_task_4_gives_up_when_redis_says_nothing"
SAYS = "nothing else in the event loop went on"


async def connect(settings):
    options = quick() | {"retry": Retry(NoBackoff(), 0)}
    with redis.Redis(**settings.redis_address(), **options) as client:
        client.ping()
    return JobQueue(Redis(**settings.redis_address(), **quick()))
