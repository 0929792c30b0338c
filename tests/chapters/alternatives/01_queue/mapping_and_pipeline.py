"""A mapping for the names, an f-string for the JSON, and a transaction for the push."""

import json

from redis.asyncio import from_url
from scheduler.redis_clients import patient

TASKS = [1, 2, 3, 4]

NAMES = {name: f"q:{name}" for name in ("critical", "high", "default", "low")}


def queue_name(priority):
    try:
        return NAMES[str(priority)]
    except KeyError as error:
        raise ValueError(f"{priority!r} is no priority") from error


def encode_entry(job):
    text = f'{{"task_id":"{job.task_id}","type":{json.dumps(job.type)},"priority":"{job.priority}"}}'
    return bytes(text, "ascii")


class JobQueue:
    def __init__(self, redis):
        self.redis = redis
        self.blocking = patient(redis)

    async def push(self, job):
        async with self.redis.pipeline(transaction=True) as pipe:
            await pipe.lpush(queue_name(job.priority), encode_entry(job)).execute()

    async def push_many(self, jobs):
        for job in jobs:
            await self.push(job)

    async def close(self):
        await self.redis.aclose()
        await self.blocking.aclose()


async def connect(settings):
    client = from_url(
        f"redis://{settings.redis_host}:{settings.redis_port}/{settings.redis_db}",
        password=settings.redis_password.get_secret_value() if settings.redis_password else None,
        socket_timeout=1,
    )
    answered = False
    try:
        answered = await client.echo("anybody there?")
    finally:
        if not answered:
            await client.aclose()
    return JobQueue(client)
