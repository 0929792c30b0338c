"""The password is the text of a SecretStr, which shows stars."""

from redis.asyncio import Redis
from scheduler.job_queue import JobQueue
from scheduler.redis_clients import quick

TEST = "test_task_4_connects_to_the_redis_of_the_settings"
SAYS = "settings.redis_password has the right one"


async def connect(settings):
    client = Redis(
        host=settings.redis_host,
        port=settings.redis_port,
        db=settings.redis_db,
        password=str(settings.redis_password),
        **quick(),
    )
    await client.ping()
    return JobQueue(client)
