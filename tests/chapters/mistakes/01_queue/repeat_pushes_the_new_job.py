"""The entry of a repeat is made of the job that was not inserted."""

import logging
from uuid import uuid4
import redis.exceptions
from redis.exceptions import RedisError
from scheduler.jobs import insert_job, Job, NewJob
from scheduler.entry import Entry

TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "told once each, after submit_job with the key of a queued job"


log = logging.getLogger(__name__)


async def submit_job(app, new):
    job, created = await insert_job(app, new)
    if job.status == "queued":
        try:
            await app.queue.push(new)
        except RedisError as e:
            log.warning("not pushed %s %s", job.task_id, type(e).__name__)
    return job.task_id
