"""An entry made with an f-string: a type may have a quote or a backslash in it."""

import logging

from redis.exceptions import RedisError
from scheduler.jobs import Job

TEST = "test_task_7_agrees_with_the_reference_on_every_input"
SAYS = "in Redis, q:"

log = logging.getLogger(__name__)

P = """UPDATE tasks SET status = 'queued', next_run_at = NULL, queued_at = now(), pushed_at = now(),
        version = version + 1, updated_at = now()
    WHERE status = 'retry' AND next_run_at <= now()
    RETURNING *"""


async def pump_retries(app):
    jobs = [Job.from_row(r) for r in await app.db.fetch_all(P)]
    try:
        for j in jobs:
            await app.queue.redis.lpush(
                f"q:{j.priority}", f'{{"task_id":"{j.task_id}","type":"{j.type}","priority":"{j.priority}"}}'
            )
    except RedisError as e:
        log.warning("%s", e)
    return len(jobs)
