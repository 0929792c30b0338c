"""Two lists, each looked into by itself: another job's attempt number fits."""

from scheduler.jobs import Job

TEST = "test_task_15_agrees_with_the_reference_on_every_input"
SAYS = "under the same worker's name"


G = """UPDATE tasks SET status = 'queued', max_attempts = max_attempts + 1, queued_at = now(), pushed_at = now(),
        worker = NULL,
        lease_expires_at = NULL,
        version = version + 1, updated_at = now()
    WHERE task_id = ANY(%s) AND attempts = ANY(%s) AND status = 'running'
    RETURNING *"""


async def give_back(app, jobs):
    return [
        Job.from_row(r)
        for r in await app.db.fetch_all(G, [[j.task_id for j in jobs], [j.attempts for j in jobs]])
    ]
