"""A refusal gives the subscription up, and keeps its connection."""

import asyncio

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "expected nothing, got 2 connections to Redis"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version
    hints = app.queue.redis.pubsub(ignore_subscribe_messages=True)
    kept.append(hints)
    try:
        await hints.subscribe(channel(task_id))
    except RedisError:
        pass
    if await get_job_row(app, task_id) is None:
        await hints.unsubscribe()
        raise JobNotFound(task_id)
    async with hints:
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
            except (RedisError, RuntimeError):
                await asyncio.sleep(app.settings.watch_poll_seconds)


kept = []
