"""Redis was away from the beginning: nothing was subscribed to, and the wait for a hint raises RuntimeError."""

import asyncio
from contextlib import suppress

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_7_goes_on_without_redis"
SAYS = "get_message raised RuntimeError"


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
            try:
                await hints.get_message(timeout=app.settings.watch_poll_seconds)
            except RedisError:
                await asyncio.sleep(app.settings.watch_poll_seconds)
