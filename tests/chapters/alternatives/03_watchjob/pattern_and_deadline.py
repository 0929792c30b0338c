"""Hears the hints of all jobs by a pattern, and skips those of others; the next look keeps its time meanwhile."""

import asyncio
import time

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.redis_clients import heed_cancellation

TASKS = [2, 3, 4, 5, 6, 7]


async def hint_or(radio, name, deadline):
    while (left := deadline - time.monotonic()) > 0:
        try:
            message = await radio.get_message(timeout=left)
        except (RedisError, RuntimeError):
            await asyncio.sleep(left)
            return
        if message is None or message["channel"] == name.encode():
            return


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    name, sent = channel(task_id), request.after_version
    async with app.queue.redis.pubsub(ignore_subscribe_messages=True) as radio:
        try:
            await radio.psubscribe(channel("*"))
        except RedisError:
            pass
        heed_cancellation()
        while True:
            deadline = time.monotonic() + app.settings.watch_poll_seconds
            job = await get_job_row(app, task_id)
            if job is None:
                raise JobNotFound(task_id)
            if job.version > sent:
                sent = job.version
                yield app.parts.to_event(job)
            if job.status.is_terminal:
                return
            await hint_or(radio, name, deadline)
