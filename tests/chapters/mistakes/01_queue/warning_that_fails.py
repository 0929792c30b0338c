"""The warning gets a field that each log record has already, and logging raises KeyError."""

import logging

from redis.exceptions import RedisError
from scheduler.jobs import insert_job

TEST = "test_task_5_accepts_the_job_when_redis_is_away"
SAYS = "Redis is away, and submit_job raised KeyError"

log = logging.getLogger(__name__)


async def submit_job(app, new):
    job, _ = await insert_job(app, new)
    if job.status == "queued":
        try:
            await app.queue.push(job)
        except RedisError as error:
            log.warning("not pushed: %s", type(error).__name__, extra={"name": job.task_id})
    return job.task_id
