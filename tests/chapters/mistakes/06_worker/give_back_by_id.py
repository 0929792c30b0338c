"""Another worker's attempt is queued too."""

TEST = "test_task_15_gives_back_only_what_is_ours"
SAYS = "ask for the attempt number too"

from scheduler.jobs import Job

GIVE_BACK = """
    UPDATE tasks
    SET status = 'queued', max_attempts = max_attempts + 1, queued_at = now(), pushed_at = now(), worker = NULL,
        lease_expires_at = NULL, version = version + 1, updated_at = now()
    WHERE task_id = %s AND status = 'running'
    RETURNING *
"""


async def give_back(app, jobs):
    given = []
    for job in jobs:
        row = await app.db.fetch_one(GIVE_BACK, [job.task_id])
        if row is not None:
            given.append(Job.from_row(row))
    return given
