"""What is due is asked by the clock of the process."""

from datetime import UTC, datetime

from scheduler.jobs import Job

TEST = "test_task_7_uses_the_clock_of_the_database"
SAYS = "not due by the database's"

PROMOTE = """
    UPDATE tasks SET status = 'queued', next_run_at = NULL, queued_at = now(), pushed_at = now(),
        version = version + 1, updated_at = now()
    WHERE status = 'retry' AND next_run_at <= %s RETURNING *
"""


async def pump_retries(app):
    rows = await app.db.fetch_all(PROMOTE, [datetime.now(UTC)])
    await app.queue.push_many([Job.from_row(row) for row in rows])
    return len(rows)
