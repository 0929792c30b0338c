import logging

from redis.exceptions import RedisError
from scheduler.jobs import Job

log = logging.getLogger(__name__)

PROMOTE = """
    UPDATE tasks
    SET status = 'queued', next_run_at = NULL, queued_at = now(), pushed_at = now(), version = version + 1,
        updated_at = now()
    WHERE status = 'retry' AND next_run_at <= now()
    RETURNING *
"""


async def pump_retries(app):
    jobs = [Job.from_row(row) for row in await app.db.fetch_all(PROMOTE)]
    try:
        await app.queue.push_many(jobs)
    except RedisError as error:
        log.warning("%d retries not pushed: %s", len(jobs), type(error).__name__)
    return len(jobs)
