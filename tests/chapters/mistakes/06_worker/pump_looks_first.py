"""SELECT, push, and then UPDATE by the id."""

from scheduler.jobs import Job

TEST = "test_task_7_only_the_winner_pushes"
SAYS = "status = 'retry' in the WHERE"

PROMOTE = """
    UPDATE tasks SET status = 'queued', next_run_at = NULL, queued_at = now(), pushed_at = now(), finished_at = NULL,
        version = version + 1, updated_at = now()
    WHERE task_id = %s
"""


async def pump_retries(app):
    rows = await app.db.fetch_all("SELECT * FROM tasks WHERE status = 'retry' AND next_run_at <= now()")
    for row in rows:
        await app.db.fetch_all(PROMOTE, [row["task_id"]])
        await app.queue.push(Job.from_row(row))
    return len(rows)
