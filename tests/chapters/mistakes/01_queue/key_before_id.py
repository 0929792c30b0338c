"""A repeat is looked up by its key before anything is inserted, so the key wins over the id."""

from scheduler.jobs import COLUMNS, Job, insert_job

TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "expected 'job 1', got 'job 9'"

BY_KEY = f"SELECT {COLUMNS} FROM tasks WHERE idempotency_key = %s"


async def submit_job(app, new):
    row = await app.db.fetch_one(BY_KEY, [new.idempotency_key]) if new.idempotency_key else None
    job = Job.from_row(row) if row else (await insert_job(app, new))[0]
    if job.status == "queued":
        await app.queue.push(job)
    return job.task_id
