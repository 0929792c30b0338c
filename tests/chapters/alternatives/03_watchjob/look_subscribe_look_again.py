"""The first event goes out before the subscription; then it looks once more. Waiting is a race of two tasks."""

import asyncio
from contextlib import asynccontextmanager

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TASKS = [2, 3, 4, 5, 6, 7]


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await existing(app, task_id)
    if job.version > request.after_version:
        yield app.parts.to_event(job)
    seen = max(job.version, request.after_version)
    if job.status.is_terminal:
        return
    async with hints_of(app, task_id) as hint:
        while not job.status.is_terminal:
            job = await existing(app, task_id)
            if job.version > seen:
                yield app.parts.to_event(job)
                seen = job.version
            elif not job.status.is_terminal:
                await first_of(hint(), asyncio.sleep(app.settings.watch_poll_seconds))


async def existing(app, task_id):
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    return job


@asynccontextmanager
async def hints_of(app, task_id):
    async with app.queue.redis.pubsub() as pubsub:
        try:
            await pubsub.subscribe(f"job:{task_id}")
            await pubsub.get_message(timeout=1)  # the confirmation
        except RedisError:
            pass

        async def hint():
            try:
                await pubsub.get_message(timeout=None)
            except (RedisError, RuntimeError):
                await asyncio.Event().wait()

        yield hint


async def first_of(*coroutines):
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
