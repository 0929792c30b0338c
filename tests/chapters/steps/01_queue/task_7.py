import logging

from redis.exceptions import RedisError
from scheduler.jobs import Status, insert_job

log = logging.getLogger(__name__)


async def submit_job(app, new):
    job, _ = await insert_job(app, new)
    if job.status is Status.QUEUED:
        try:
            await app.queue.push(job)
        except RedisError as error:
            log.warning("the push of job %s failed: %s", job.task_id, type(error).__name__)
    return job.task_id
