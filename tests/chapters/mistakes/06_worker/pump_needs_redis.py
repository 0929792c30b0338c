"""Redis being away ends the pump."""

from scheduler.jobs import Job

TEST = "test_task_7_queues_the_job_when_redis_is_away"
SAYS = "the reconciler will push it"

PROMOTE = """
    UPDATE tasks SET status = 'queued', next_run_at = NULL, queued_at = now(), pushed_at = now(),
        version = version + 1, updated_at = now()
    WHERE status = 'retry' AND next_run_at <= now() RETURNING *
"""


async def pump_retries(app):
    rows = await app.db.fetch_all(PROMOTE)
    await app.queue.push_many([Job.from_row(row) for row in rows])
    return len(rows)
