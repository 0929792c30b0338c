"""Whatever its status, the job gets a lease."""

TEST = "test_task_11_revives_no_job_that_is_not_running"
SAYS = "running job has a lease"

HEARTBEAT = """
    UPDATE tasks SET lease_expires_at = now() + %s * interval '1 second'
    WHERE task_id = ANY(%s) RETURNING task_id
"""


async def heartbeat(app, jobs):
    rows = await app.db.fetch_all(HEARTBEAT, [app.settings.lease_seconds, [job.task_id for job in jobs]])
    return {row["task_id"] for row in rows}
