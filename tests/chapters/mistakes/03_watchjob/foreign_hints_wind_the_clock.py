"""Hears all jobs' hints by a pattern; each of another job that it skips begins the interval anew."""

import asyncio

from redis.exceptions import RedisError

from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.redis_clients import heed_cancellation

TEST = "test_task_7_agrees_with_the_reference_on_every_input"
SAYS = "without a hint in twice watch_poll_seconds, while hints of other jobs come all along: expected job 1 RETRY v4"


async def _wait(radio, name, seconds):
    """Until a hint for this job comes, or the time is over."""
    try:
        while (message := await radio.get_message(timeout=seconds)) is not None:
            if message["channel"] in (name, name.encode()):
                return
    except (RedisError, RuntimeError):
        await asyncio.sleep(seconds)


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = request.after_version
    name = channel(task_id)
    async with app.queue.redis.pubsub(ignore_subscribe_messages=True) as radio:
        try:
            await radio.psubscribe(channel("*"))
        except RedisError:
            pass  # then the clock has to do
        heed_cancellation()
        while True:
            job = await get_job_row(app, task_id)
            if job is None:
                raise JobNotFound(task_id)
            if job.version > sent:
                sent = job.version
                yield app.parts.to_event(job)
            if job.status.is_terminal:
                return
            await _wait(radio, name, app.settings.watch_poll_seconds)
