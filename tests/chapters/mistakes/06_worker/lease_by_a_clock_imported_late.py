"""The lease ends by the clock of the worker, which is imported where it is needed."""

TEST = "test_task_2_uses_the_clock_of_the_database"
SAYS = "it is an hour off"

from scheduler.jobs import Job

CLAIM = """
    UPDATE tasks SET status = 'running', attempts = attempts + 1, worker = 'me', started_at = now(), updated_at = now(),
        lease_expires_at = %s, pushed_at = NULL, version = version + 1
    WHERE task_id = ANY(%s) AND status = 'queued' RETURNING *
"""


async def claim(app, entries):
    from datetime import UTC, datetime, timedelta

    until = datetime.now(UTC) + timedelta(seconds=app.settings.lease_seconds)
    rows = await app.db.fetch_all(CLAIM, [until, list({entry.task_id for entry in entries})])
    return [Job.from_row(row) for row in rows]
