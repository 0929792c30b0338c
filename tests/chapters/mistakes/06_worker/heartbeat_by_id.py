"""The id alone says nothing about whose attempt it is."""

TEST = "test_task_11_leaves_a_later_attempt_alone"
SAYS = "the id alone is none"

HEARTBEAT = """
    UPDATE tasks SET lease_expires_at = now() + %s * interval '1 second'
    WHERE task_id = ANY(%s) AND status = 'running' RETURNING task_id
"""


async def heartbeat(app, jobs):
    rows = await app.db.fetch_all(HEARTBEAT, [app.settings.lease_seconds, [job.task_id for job in jobs]])
    return {row["task_id"] for row in rows}
