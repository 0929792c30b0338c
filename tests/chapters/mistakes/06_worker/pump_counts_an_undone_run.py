"""What an undone run of `work` has found is counted and pushed with what the next one finds."""

import logging

from redis.exceptions import RedisError

from scheduler.jobs import Job

TEST = "test_task_7_agrees_with_the_reference_on_every_input"
SAYS = "where the database undid it for a conflict and ran it again: the answer: expected 2, got 4"

log = logging.getLogger(__name__)

DUE = """
    UPDATE tasks
    SET status = 'queued', next_run_at = NULL, queued_at = now(), pushed_at = now(), updated_at = now(),
        version = version + 1
    WHERE status = 'retry' AND next_run_at <= now()
    RETURNING *
"""


async def pump_retries(app):
    jobs = []

    async def work(connection):
        cursor = await connection.execute(DUE)
        jobs.extend(Job.from_row(row) for row in await cursor.fetchall())

    await app.db.transaction(work)
    try:
        await app.queue.push_many(jobs)
    except RedisError as error:
        log.warning("left to the reconciler: %s", error)
    return len(jobs)
