"""A second statement counts the attempt again."""

from scheduler.jobs import Job

TEST = "test_task_2_claims_each_of_several_jobs_once"
SAYS = "counted twice"

CLAIM = """
    UPDATE tasks SET status = 'running', attempts = attempts + 1, worker = 'me', started_at = now(), pushed_at = NULL,
        lease_expires_at = now() + interval '15 seconds', version = version + 1, updated_at = now()
    WHERE task_id = %s AND status = 'queued' RETURNING *
"""


async def claim(app, entries):
    jobs = []
    for entry in entries:
        if await app.db.fetch_one(CLAIM, [entry.task_id]):
            again = "UPDATE tasks SET attempts = attempts + 1 WHERE task_id = %s RETURNING *"
            jobs.append(Job.from_row(await app.db.fetch_one(again, [entry.task_id])))
    return jobs
