HEARTBEAT = """
    UPDATE tasks SET lease_expires_at = now() + %s * interval '1 second'
    WHERE task_id = %s AND attempts = %s AND status = 'running'
    RETURNING task_id
"""


async def heartbeat(app, jobs):
    ours = set()
    for job in jobs:
        row = await app.db.fetch_one(HEARTBEAT, [app.settings.lease_seconds, job.task_id, job.attempts])
        if row is not None:
            ours.add(row["task_id"])
    return ours
