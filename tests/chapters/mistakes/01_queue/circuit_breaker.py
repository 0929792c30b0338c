"""After a push that failed, none is tried for five seconds, even if Redis is back."""

import logging
import time

from redis.exceptions import RedisError
from scheduler.jobs import insert_job

TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "while Redis is away; then a high job of type 'noop' with payload {}, while Redis is there, q:high"

log = logging.getLogger(__name__)
_closed_until = 0.0


async def submit_job(app, new):
    global _closed_until
    job, _ = await insert_job(app, new)
    if job.status == "queued":
        try:
            if time.monotonic() < _closed_until:
                raise RedisError("the circuit is open")
            await app.queue.push(job)
        except RedisError as error:
            _closed_until = max(_closed_until, time.monotonic() + 5)
            log.warning("job %s was not pushed: %s", job.task_id, type(error).__name__)
    return job.task_id
