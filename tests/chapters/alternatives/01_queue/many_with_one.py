"""What a failure of the queue means stands in a context manager; the push goes through push_many, with one job."""

import logging
from contextlib import contextmanager

from redis.exceptions import RedisError
from scheduler.jobs import Status, insert_job

TASKS = [5, 6, 7]

log = logging.getLogger(__name__)


@contextmanager
def _queue_may_fail(task_id):
    try:
        yield
    except RedisError as error:
        log.warning("no entry yet: %s", type(error).__qualname__, extra={"job_id": task_id})


async def submit_job(app, new):
    job = (await insert_job(app, new))[0]
    if job.status == Status.QUEUED:
        with _queue_may_fail(job.task_id):
            await app.queue.push_many([job])
    return job.task_id
