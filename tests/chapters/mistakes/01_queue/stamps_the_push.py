"""The time of the push is written without a look at the status, and a worker may have been faster."""

import logging

from redis.exceptions import RedisError
from scheduler.jobs import insert_job

TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "whose job is running as soon as its entry is in Redis: expected 'job 1', and your code raised CheckViolation"

log = logging.getLogger(__name__)


async def submit_job(app, new):
    job, _ = await insert_job(app, new)
    if job.status == "queued":
        try:
            await app.queue.push(job)
        except RedisError as error:
            log.warning("job %s was not pushed: %s", job.task_id, type(error).__name__)
        else:
            await app.db.fetch_all("UPDATE tasks SET pushed_at = now() WHERE task_id = %s", [job.task_id])
    return job.task_id
