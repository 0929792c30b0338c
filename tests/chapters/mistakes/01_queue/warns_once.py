"""An outage is one line in the log, and not one for each job."""

import logging

from redis.exceptions import RedisError
from scheduler.jobs import insert_job

TEST = "test_task_5_says_in_the_log_that_a_push_failed"
SAYS = "the log warns of one alone"

log = logging.getLogger(__name__)
_away = False


async def submit_job(app, new):
    global _away
    job, _ = await insert_job(app, new)
    if job.status == "queued":
        try:
            await app.queue.push(job)
            _away = False
        except RedisError as error:
            if not _away:
                log.warning("job %s was not pushed: %s", job.task_id, type(error).__name__)
            _away = True
    return job.task_id
