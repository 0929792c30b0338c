"""The channel is named by the id as the client wrote it; one in upper case is right, and nobody publishes there."""

import asyncio

from redis.exceptions import RedisError

from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.redis_clients import heed_cancellation

TEST = "test_task_7_agrees_with_the_reference_on_every_input"
SAYS = "whose id it writes in upper case, where job 1 is running v3: expected a subscriber of job:"


async def _wait(radio, seconds):
    try:
        await radio.get_message(timeout=seconds)
    except (RedisError, RuntimeError):
        await asyncio.sleep(seconds)


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = request.after_version
    async with app.queue.redis.pubsub(ignore_subscribe_messages=True) as radio:
        try:
            await radio.subscribe(channel(request.job_id))
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
            await _wait(radio, app.settings.watch_poll_seconds)
