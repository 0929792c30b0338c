"""The subscription is given up with a command, and that fails when Redis is away: the job's end is then an error."""

import asyncio

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_7_agrees_with_the_reference_on_every_input"
SAYS = "your code raised ConnectionError"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version
    hints = app.queue.redis.pubsub(ignore_subscribe_messages=True)
    try:
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
            try:
                await hints.get_message(timeout=app.settings.watch_poll_seconds)
            except (RedisError, RuntimeError):
                await asyncio.sleep(app.settings.watch_poll_seconds)
    finally:
        try:
            await hints.unsubscribe(channel(task_id))
        finally:
            await hints.aclose()
