"""The attempt is taken back, and the fence is open."""

TEST = "test_task_15_gives_a_job_back"
SAYS = "the fence is open"

from scheduler.jobs import Job

GIVE_BACK = """
    UPDATE tasks
    SET status = 'queued', attempts = attempts - 1, queued_at = now(), pushed_at = now(), worker = NULL,
        lease_expires_at = NULL, version = version + 1, updated_at = now()
    WHERE task_id = %s AND attempts = %s AND status = 'running'
    RETURNING *
"""


async def give_back(app, jobs):
    given = []
    for job in jobs:
        row = await app.db.fetch_one(GIVE_BACK, [job.task_id, job.attempts])
        if row is not None:
            given.append(Job.from_row(row))
    return given
