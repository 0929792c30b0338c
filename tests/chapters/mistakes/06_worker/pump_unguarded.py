"""The UPDATE asks for the ids that a SELECT has found, and not for the status."""

from scheduler.jobs import Job

TEST = "test_task_7_only_the_winner_pushes"
SAYS = "status = 'retry' in the WHERE"

DUE = "SELECT task_id FROM tasks WHERE status = 'retry' AND next_run_at <= now()"
PROMOTE = """
    UPDATE tasks SET status = 'queued', next_run_at = NULL, queued_at = now(), pushed_at = now(),
        version = version + 1, updated_at = now()
    WHERE task_id = ANY(%s) RETURNING *
"""


async def pump_retries(app):
    ids = [row["task_id"] for row in await app.db.fetch_all(DUE)]
    jobs = [Job.from_row(row) for row in await app.db.fetch_all(PROMOTE, [ids])]
    await app.queue.push_many(jobs)
    return len(jobs)
