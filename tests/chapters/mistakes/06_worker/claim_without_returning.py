"""UPDATE, and then SELECT whatever runs now: another worker's jobs too."""

from scheduler.jobs import Job

TEST = "test_task_2_leaves_a_job_that_is_not_queued"
SAYS = "claim returned it"

CLAIM = """
    UPDATE tasks SET status = 'running', attempts = attempts + 1, worker = 'me', started_at = now(), pushed_at = NULL,
        lease_expires_at = now() + interval '15 seconds', version = version + 1, updated_at = now()
    WHERE task_id = ANY(%s) AND status = 'queued'
"""


async def claim(app, entries):
    ids = [entry.task_id for entry in entries]
    await app.db.fetch_all(CLAIM, [ids])
    rows = await app.db.fetch_all("SELECT * FROM tasks WHERE task_id = ANY(%s) AND status = 'running'", [ids])
    return [Job.from_row(row) for row in rows]
