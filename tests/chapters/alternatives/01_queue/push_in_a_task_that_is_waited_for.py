"""The push is a task whose end is waited for, and whose outcome is looked at rather than caught."""

import asyncio
import logging

from redis.exceptions import RedisError
from scheduler.jobs import Status, insert_job

TASKS = [5, 6, 7]

log = logging.getLogger(__name__)


async def submit_job(app, new):
    job, _ = await insert_job(app, new)
    if job.status != Status.QUEUED:
        return job.task_id
    pushing = asyncio.create_task(app.queue.push(job))
    try:
        await asyncio.wait([pushing])
    finally:
        if not pushing.done():
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)
    error = pushing.exception()
    if isinstance(error, RedisError):
        log.warning("not pushed: %s", type(error).__name__, extra={"job_id": job.task_id})
    elif error is not None:
        raise error
    return job.task_id
