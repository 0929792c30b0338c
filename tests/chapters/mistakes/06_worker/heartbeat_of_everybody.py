"""Everything that runs gets a new lease."""

TEST = "test_task_11_extends_several_leases_at_once"
SAYS = "extended the lease of a job that it was not asked for"

HEARTBEAT = """
    UPDATE tasks SET lease_expires_at = now() + %s * interval '1 second'
    WHERE status = 'running' RETURNING task_id
"""


async def heartbeat(app, jobs):
    rows = await app.db.fetch_all(HEARTBEAT, [app.settings.lease_seconds])
    return {row["task_id"] for row in rows} & {job.task_id for job in jobs}
