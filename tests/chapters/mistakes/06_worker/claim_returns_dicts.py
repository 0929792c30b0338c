"""The rows come back as dicts."""

TEST = "test_task_2_returns_the_row_as_it_is_now"
SAYS = "Job.from_row makes a Job"

CLAIM = """
    UPDATE tasks SET status = 'running', attempts = attempts + 1, worker = 'me', started_at = now(), pushed_at = NULL,
        lease_expires_at = now() + interval '15 seconds', version = version + 1, updated_at = now()
    WHERE task_id = ANY(%s) AND status = 'queued' RETURNING *
"""


async def claim(app, entries):
    return await app.db.fetch_all(CLAIM, [[entry.task_id for entry in entries]])
