"""A task listens for hints and sets an event; the stream waits for that event, or for its time."""

import asyncio

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.hints import channel
from scheduler.jobs import get_job_row, parse_job_id

TASKS = [2, 3, 4, 5, 6, 7]


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version
    hinted, subscribed = asyncio.Event(), asyncio.Event()
    listener = asyncio.create_task(listen(app, task_id, hinted, subscribed))
    try:
        await subscribed.wait()
        while True:
            hinted.clear()
            job = await get_job_row(app, task_id)
            if job is None:
                raise JobNotFound(task_id)
            if job.version > seen:
                seen = job.version
                yield app.parts.to_event(job)
            if job.status.is_terminal:
                return
            try:
                async with asyncio.timeout(app.settings.watch_poll_seconds):
                    await hinted.wait()
            except TimeoutError:
                pass
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)


async def listen(app, task_id, hinted, subscribed):
    while True:
        try:
            async with app.queue.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe(channel(task_id))
                subscribed.set()
                async for _ in pubsub.listen():
                    hinted.set()
        except RedisError:
            subscribed.set()  # no hints for now; whoever waits for us can go on
            await asyncio.sleep(app.settings.watch_poll_seconds)
