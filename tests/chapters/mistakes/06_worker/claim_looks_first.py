"""SELECT, and then UPDATE by the id alone."""

from scheduler.jobs import Job

TEST = "test_task_2_loses_against_another_worker"
SAYS = "reached the row first"

CLAIM = """
    UPDATE tasks SET status = 'running', attempts = attempts + 1, worker = 'me', started_at = now(), pushed_at = NULL,
        lease_expires_at = now() + interval '15 seconds', version = version + 1, updated_at = now()
    WHERE task_id = %s RETURNING *
"""


async def claim(app, entries):
    jobs = []
    for entry in entries:
        row = await app.db.fetch_one("SELECT status FROM tasks WHERE task_id = %s", [entry.task_id])
        if row and row["status"] == "queued":
            jobs.append(Job.from_row(await app.db.fetch_one(CLAIM, [entry.task_id])))
    return jobs
