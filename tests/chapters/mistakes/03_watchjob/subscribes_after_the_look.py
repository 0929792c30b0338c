"""The first look comes before the subscription."""

import asyncio

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_7_misses_no_change_between_the_first_look_and_the_subscription"
SAYS = "subscribe first, look afterwards"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    async with app.queue.redis.pubsub(ignore_subscribe_messages=True) as hints:
        await hints.subscribe(channel(task_id))
        while True:
            if job.version > seen:
                yield app.parts.to_event(job)
                seen = job.version
            if job.status.is_terminal:
                return
            while await hints.get_message(timeout=app.settings.watch_poll_seconds) is None:
                pass
            job = await get_job_row(app, task_id)
