"""The times come from the process."""

from datetime import datetime, timedelta, timezone

TEST = "test_task_6_uses_the_clock_of_the_database"
SAYS = "times must come from the database"

UPDATE = """
    UPDATE tasks
    SET status = %(status)s, last_error = %(error)s, worker = NULL, lease_expires_at = NULL,
        next_run_at = CASE WHEN %(status)s = 'retry' THEN %(due)s::timestamptz END,
        finished_at = CASE WHEN %(status)s = 'retry' THEN NULL ELSE %(now)s END,
        version = version + 1, updated_at = now()
    WHERE task_id = %(id)s AND status = 'running'
    RETURNING *
"""
INSERT = """
    INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error)
    VALUES (%s, %s, %s, now(), %s, %s)
"""


def values(job, outcome):
    fields = {
        "id": job.task_id,
        "status": str(outcome.status),
        "error": outcome.error,
        "delay": outcome.delay,
    }
    return fields, [job.task_id, job.attempts, job.started_at, outcome.error is None, outcome.error]


async def finish(app, job, outcome):
    fields, attempt = values(job, outcome)
    fields["now"] = datetime.now(timezone.utc)
    fields["due"] = fields["now"] + timedelta(seconds=outcome.delay)

    async def work(connection):
        cursor = await connection.execute(UPDATE, fields)
        if cursor.rowcount:
            await connection.execute(INSERT, attempt)
        return cursor.rowcount == 1

    return await app.db.transaction(work)
