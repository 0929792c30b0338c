"""The warning says what redis-py said."""

import logging
from uuid import uuid4
import redis.exceptions
from redis.exceptions import RedisError
from scheduler.jobs import insert_job, Job, NewJob
from scheduler.entry import Entry

TEST = "test_task_7_agrees_with_the_reference_on_every_input"
SAYS = "passwords in the log after submit_job"


log = logging.getLogger(__name__)


async def submit_job(app, new):
    job, created = await insert_job(app, new)
    if job.status == "queued":
        try:
            await app.queue.push(job)
        except RedisError as e:
            log.warning("job %s not pushed: %s", job.task_id, e)
    return job.task_id
