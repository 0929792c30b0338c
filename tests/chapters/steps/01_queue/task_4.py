from redis.asyncio import Redis
from scheduler.redis_clients import quick

from workbook.loader import earlier

JobQueue = earlier("JobQueue")


async def connect(settings):
    client = Redis(**settings.redis_address(), **quick())
    try:
        await client.ping()
    except BaseException:
        await client.aclose()
        raise
    return JobQueue(client)
