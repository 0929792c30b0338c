"""A Redis that has become a replica ends the pump."""

TEST = "test_task_7_agrees_with_the_reference_on_every_input"
SAYS = "Redis is a replica now"

import logging

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from scheduler.app import App
from scheduler.jobs import Job

log = logging.getLogger(__name__)


PUMP = """
    UPDATE tasks
    SET status = 'queued',
        next_run_at = NULL,
        queued_at = now(),
        pushed_at = now(),
        updated_at = now(),
        version = version + 1
    WHERE status = 'retry' AND next_run_at <= now()
    RETURNING *
"""


async def pump_retries(app: App) -> int:
    jobs = [Job.from_row(row) for row in await app.db.fetch_all(PUMP)]
    if not jobs:
        return 0
    try:
        await app.queue.push_many(jobs)
    except (RedisConnectionError, RedisTimeoutError) as error:
        log.warning("Redis is away; the reconciler will push %d retries: %s", len(jobs), error)
    return len(jobs)
