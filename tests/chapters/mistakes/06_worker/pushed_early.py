"""The entry is pushed before the row is queued."""

from scheduler.jobs import Job

TEST = "test_task_7_only_the_winner_pushes"
SAYS = "this pump pushed an entry"

PROMOTE = """
    UPDATE tasks SET status = 'queued', next_run_at = NULL, queued_at = now(), pushed_at = now(),
        version = version + 1, updated_at = now()
    WHERE task_id = %s AND status = 'retry' RETURNING task_id
"""


async def pump_retries(app):
    rows = await app.db.fetch_all("SELECT * FROM tasks WHERE status = 'retry' AND next_run_at <= now()")
    number = 0
    for row in rows:
        await app.queue.push(Job.from_row(row))
        number += len(await app.db.fetch_all(PROMOTE, [row["task_id"]]))
    return number
