"""No generator: the events are written to the context, refusals are aborts, and a `finally` tidies up."""

import asyncio

import grpc
from redis.exceptions import RedisError
from scheduler.errors import InvalidRequest
from scheduler.jobs import get_job_row, parse_job_id

TASKS = [2, 3, 4, 5, 6, 7]


async def watch_job(app, request, context):
    try:
        task_id = parse_job_id(request.job_id)
    except InvalidRequest:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    pubsub = app.queue.redis.pubsub()
    try:
        listening = await subscribed(pubsub, f"job:{task_id}")
        version = request.after_version
        while not context.cancelled():
            job = await get_job_row(app, task_id)
            if job is None:
                await context.abort(grpc.StatusCode.NOT_FOUND, f"no job {task_id}")
            if job.version > version:
                version = job.version
                await context.write(app.parts.to_event(job))
            if job.finished_at is not None:
                break
            listening = await wait(pubsub if listening else None, app.settings.watch_poll_seconds)
    finally:
        await pubsub.aclose()


async def subscribed(pubsub, name):
    try:
        await pubsub.subscribe(name)
    except RedisError:
        return False
    return True


async def wait(pubsub, seconds):
    if pubsub is not None:
        try:
            async with asyncio.timeout(seconds):
                while (await pubsub.get_message(timeout=None))["type"] != "message":
                    pass
            return True
        except TimeoutError:
            return True
        except RedisError:
            pass
    await asyncio.sleep(seconds)
    return False
