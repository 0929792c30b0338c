"""The limit is for what clients submit, and not for a job that is given back."""

from scheduler.jobs import MAX_ATTEMPTS, Job

TEST = "test_task_15_agrees_with_the_reference_on_every_input"
SAYS = "max_attempts: expected 101, got 100"

GIVE_BACK = """
    UPDATE tasks
    SET status = 'queued', max_attempts = LEAST(tasks.max_attempts + 1, %s), queued_at = now(), pushed_at = now(),
        updated_at = now(), worker = NULL, lease_expires_at = NULL, version = tasks.version + 1
    FROM unnest(%s::uuid[], %s::int[]) AS v(id, attempt)
    WHERE tasks.task_id = v.id AND tasks.attempts = v.attempt AND tasks.status = 'running'
    RETURNING tasks.*
"""


async def give_back(app, jobs):
    pairs = [[job.task_id for job in jobs], [job.attempts for job in jobs]]
    return [Job.from_row(row) for row in await app.db.fetch_all(GIVE_BACK, [MAX_ATTEMPTS, *pairs])]
