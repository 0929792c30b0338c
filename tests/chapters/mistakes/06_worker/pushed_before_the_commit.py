"""A worker that pops the entry at once finds a retry still."""

TEST = "test_task_7_agrees_with_the_reference_on_every_input"
SAYS = "it is still a retry, for everybody but you"

import logging

from redis.exceptions import RedisError

from scheduler.app import App
from scheduler.connections import Connection
from scheduler.jobs import Job

log = logging.getLogger(__name__)


PUMP = b"""
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
    async def work(connection: Connection) -> int:
        cursor = await connection.execute(PUMP)
        jobs = [Job.from_row(row) for row in await cursor.fetchall()]
        if jobs:
            # In here, so that no row is ever queued without its entry.
            try:
                await app.queue.push_many(jobs)
            except RedisError as error:
                log.warning("Redis is away; the reconciler will push %d retries: %s", len(jobs), error)
        return len(jobs)

    return await app.db.transaction(work)
