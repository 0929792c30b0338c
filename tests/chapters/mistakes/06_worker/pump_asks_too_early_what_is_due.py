"""What is due is asked before the UPDATE, and the retry may have run and failed since."""

TEST = "test_task_7_agrees_with_the_reference_on_every_input"
SAYS = "due in a minute"

import logging

from redis.exceptions import RedisError

from scheduler.app import App
from scheduler.jobs import Job

log = logging.getLogger(__name__)


DUE = "SELECT task_id FROM tasks WHERE status = 'retry' AND next_run_at <= now()"
PUMP = """
    UPDATE tasks
    SET status = 'queued',
        next_run_at = NULL,
        queued_at = now(),
        pushed_at = now(),
        updated_at = now(),
        version = version + 1
    WHERE status = 'retry' AND task_id = ANY(%s)
    RETURNING *
"""


async def pump_retries(app: App) -> int:
    due = [row["task_id"] for row in await app.db.fetch_all(DUE)]
    jobs = [Job.from_row(row) for row in await app.db.fetch_all(PUMP, [due])]
    if not jobs:
        return 0
    try:
        await app.queue.push_many(jobs)
    except RedisError as error:
        log.warning("Redis is away; the reconciler will push %d retries: %s", len(jobs), error)
    return len(jobs)
