"""Each turn has a deadline by the machine's own clock; messages that are no hint do not end it."""

import asyncio
import time
from contextlib import AsyncExitStack

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import TERMINAL, get_job_row, parse_job_id

TASKS = [2, 3, 4, 5, 6, 7]


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    async with AsyncExitStack() as stack:
        radio = await tuned_in(app, stack, f"job:{task_id}")
        newest = request.after_version
        while True:
            deadline = time.monotonic() + app.settings.watch_poll_seconds
            if (job := await get_job_row(app, task_id)) is None:
                raise JobNotFound(task_id)
            if job.version > newest:
                newest = job.version
                yield app.parts.to_event(job)
            if job.status in TERMINAL:
                return
            radio = await hint_or(deadline, radio)


async def tuned_in(app, stack, name):
    radio = app.queue.redis.pubsub()
    stack.push_async_callback(radio.aclose)
    try:
        await radio.subscribe(name)
    except RedisError:
        return None
    return radio


async def hint_or(deadline, radio):
    while (left := deadline - time.monotonic()) > 0:
        if radio is None:
            await asyncio.sleep(left)
            continue
        try:
            message = await radio.get_message(timeout=left)
        except RedisError:
            radio = None
        else:
            if message is not None and message["type"] == "message":
                break
    return radio
