"""The lease is reckoned with the clock of the process."""

from datetime import UTC, datetime, timedelta

from scheduler.jobs import Job

TEST = "test_task_2_uses_the_clock_of_the_database"
SAYS = "times must come from the database"

CLAIM = """
    UPDATE tasks SET status = 'running', attempts = attempts + 1, worker = 'me', started_at = now(), pushed_at = NULL,
        lease_expires_at = %s, version = version + 1, updated_at = now()
    WHERE task_id = ANY(%s) AND status = 'queued' RETURNING *
"""


async def claim(app, entries):
    until = datetime.now(UTC) + timedelta(seconds=app.settings.lease_seconds)
    rows = await app.db.fetch_all(CLAIM, [until, [entry.task_id for entry in entries]])
    return [Job.from_row(row) for row in rows]
