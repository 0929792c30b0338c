"""A hint is taken for a change."""

import asyncio

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_7_sends_nothing_for_a_hint_alone"
SAYS = "a hint is no news"


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
            yield app.parts.to_event(job)
            if job.status.is_terminal:
                return
            async for message in hints.listen():
                if message["type"] == "message":
                    break
