import os

from scheduler.jobs import Job

CLAIM = """
    UPDATE tasks
    SET status = 'running', attempts = attempts + 1, worker = %s, started_at = now(), pushed_at = NULL,
        lease_expires_at = now() + %s * interval '1 second', version = version + 1, updated_at = now()
    WHERE task_id = %s AND status = 'queued'
    RETURNING *
"""


async def claim(app, entries):
    jobs = []
    for entry in entries:
        row = await app.db.fetch_one(CLAIM, [str(os.getpid()), app.settings.lease_seconds, entry.task_id])
        if row is not None:
            jobs.append(Job.from_row(row))
    return jobs
