"""A lease that has a fraction of a second loses it."""

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "lease_expires_at: expected 'now + the lease'"

from scheduler.jobs import Job

CLAIM = """
    UPDATE tasks SET status = 'running', attempts = attempts + 1, worker = 'me', started_at = now(), updated_at = now(),
        lease_expires_at = now() + %s * interval '1 second', pushed_at = NULL, version = version + 1
    WHERE task_id = ANY(%s) AND status = 'queued' RETURNING *
"""


async def claim(app, entries):
    rows = await app.db.fetch_all(
        CLAIM, [int(app.settings.lease_seconds), list({entry.task_id for entry in entries})]
    )
    return [Job.from_row(row) for row in rows]
