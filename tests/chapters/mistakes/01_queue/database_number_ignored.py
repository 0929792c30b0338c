"""REDIS_DB is not passed on."""

from redis.asyncio import Redis
from scheduler.job_queue import JobQueue
from scheduler.redis_clients import quick

TEST = "test_task_4_connects_to_the_redis_of_the_settings"
SAYS = "settings.redis_db"


async def connect(settings):
    password = settings.redis_address()["password"]
    client = Redis(host=settings.redis_host, port=settings.redis_port, password=password, **quick())
    await client.ping()
    return JobQueue(client)
