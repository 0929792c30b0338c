"""The push stands in a function of its own that answers whether it worked; the status is compared as a word."""

import logging

from redis.exceptions import ConnectionError, RedisError, TimeoutError
from scheduler.jobs import insert_job

TASKS = [5, 6, 7]

log = logging.getLogger("submit")


async def submit_job(app, new):
    job, created = await insert_job(app, new)
    if (created or job.status == "queued") and not await _pushed(app, job):
        log.error("job %s waits for the reconciler", job.task_id)
    return job.task_id


async def _pushed(app, job):
    try:
        await app.queue.push(job)
    except (ConnectionError, TimeoutError):
        return False
    except RedisError:
        return False
    return True
