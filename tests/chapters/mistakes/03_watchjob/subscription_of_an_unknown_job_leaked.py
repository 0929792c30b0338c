"""The refusal stands outside of the try."""

import asyncio

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_7_gives_up_its_subscription_when_the_stream_ends"
SAYS = "there is no such job"


kept = []


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version
    hints = app.queue.redis.pubsub(ignore_subscribe_messages=True)
    kept.append(hints)
    await hints.subscribe(channel(task_id))
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    try:
        while True:
            if job.version > seen:
                yield app.parts.to_event(job)
                seen = job.version
            if job.status.is_terminal:
                return
            try:
                await hints.get_message(timeout=app.settings.watch_poll_seconds)
            except RedisError:
                await asyncio.sleep(app.settings.watch_poll_seconds)
            job = await get_job_row(app, task_id)
    finally:
        await hints.aclose()
