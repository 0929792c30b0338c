"""The lease is forgotten; the database says so."""

from scheduler.jobs import Job

TEST = "test_task_2_makes_a_queued_job_running"
SAYS = "running job has a lease"

CLAIM = """
    UPDATE tasks SET status = 'running', attempts = attempts + 1, worker = 'me', started_at = now(), pushed_at = NULL,
        version = version + 1, updated_at = now()
    WHERE task_id = ANY(%s) AND status = 'queued' RETURNING *
"""


async def claim(app, entries):
    rows = await app.db.fetch_all(CLAIM, [[entry.task_id for entry in entries]])
    return [Job.from_row(row) for row in rows]
