"""The channel's name lacks its beginning."""

import asyncio

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_7_wakes_on_the_hint"
SAYS = "nobody has subscribed to job:"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version
    async with app.queue.redis.pubsub(ignore_subscribe_messages=True) as hints:
        try:
            await hints.subscribe(str(task_id))
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
            try:
                await hints.get_message(timeout=app.settings.watch_poll_seconds)
            except (RedisError, RuntimeError):
                await asyncio.sleep(app.settings.watch_poll_seconds)
