"""The bell that a hint rings is cleared after the look: a hint that came during it is thrown away."""

import asyncio
from contextlib import suppress

from redis.exceptions import RedisError

from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.redis_clients import heed_cancellation

TEST = "test_task_7_misses_no_change_between_the_first_look_and_the_subscription"
SAYS = "its hint came to your subscription before that look was answered"


async def _listen(radio, bell, pause):
    while True:
        try:
            if await radio.get_message(timeout=pause) is not None:
                bell.set()
        except (RedisError, RuntimeError):
            await asyncio.sleep(pause)


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = request.after_version
    pause = app.settings.watch_poll_seconds
    bell = asyncio.Event()
    async with app.queue.redis.pubsub(ignore_subscribe_messages=True) as radio:
        with suppress(RedisError):
            await radio.subscribe(channel(task_id))
        heed_cancellation()
        listener = asyncio.create_task(_listen(radio, bell, pause))
        try:
            while True:
                job = await get_job_row(app, task_id)
                if job is None:
                    raise JobNotFound(task_id)
                if job.version > sent:
                    sent = job.version
                    yield app.parts.to_event(job)
                if job.status.is_terminal:
                    return
                bell.clear()  # what has rung so far is dealt with
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await bell.wait()
        finally:
            listener.cancel()
            await asyncio.wait([listener])
