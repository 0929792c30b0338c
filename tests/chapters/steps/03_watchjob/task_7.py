import asyncio
from contextlib import suppress

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version
    async with app.queue.redis.pubsub(ignore_subscribe_messages=True) as hints:
        with suppress(RedisError):
            await hints.subscribe(channel(task_id))
        while True:
            job = await get_job_row(app, task_id)
            if job is None:
                raise JobNotFound(task_id)
            if job.version > seen:
                yield app.parts.to_event(job)
                seen = job.version
            if job.status.is_terminal:
                return
            await hint_or_time(hints, app.settings.watch_poll_seconds)


async def hint_or_time(hints, seconds):
    try:
        await hints.get_message(timeout=seconds)
    except (RedisError, RuntimeError):  # Redis is away, or nothing could be subscribed to
        await asyncio.sleep(seconds)
