"""A heartbeat looks like a change."""

TEST = "test_task_11_extends_the_lease"
SAYS = "the column version"

HEARTBEAT = """
    UPDATE tasks SET lease_expires_at = now() + %s * interval '1 second', version = version + 1
    WHERE task_id = ANY(%s) AND status = 'running' RETURNING task_id
"""


async def heartbeat(app, jobs):
    rows = await app.db.fetch_all(HEARTBEAT, [app.settings.lease_seconds, [job.task_id for job in jobs]])
    return {row["task_id"] for row in rows}
