"""After a lost reply the transaction runs once more, finds the job finished, and says that nothing was written."""

TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "whose connection breaks right after the commit"

from scheduler.database import Lost
from scheduler.jobs import Status


FINISH = b"""
    UPDATE tasks
    SET status = %(status)s,
        last_error = %(error)s,
        finished_at = CASE WHEN %(status)s::text = 'retry' THEN NULL ELSE now() END,
        next_run_at = CASE WHEN %(status)s::text = 'retry' THEN now() + %(delay)s * interval '1 second' END,
        worker = NULL,
        lease_expires_at = NULL,
        updated_at = now(),
        version = version + 1
    WHERE task_id = %(task_id)s AND status = 'running' AND attempts = %(attempt)s
    RETURNING attempts, started_at
"""
ATTEMPT = b"""
    INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error)
    VALUES (%(task_id)s, %(attempt)s, %(started_at)s, now(), %(ok)s, %(error)s)
"""


async def finish(app, job, outcome):
    values = {
        "task_id": job.task_id,
        "attempt": job.attempts,
        "started_at": job.started_at,
        "status": str(outcome.status),
        "error": outcome.error,
        "delay": outcome.delay,
        "ok": outcome.status == Status.SUCCEEDED,
    }

    async def work(connection):
        cursor = await connection.execute(FINISH, values)
        if await cursor.fetchone() is None:
            return False
        await connection.execute(ATTEMPT, values)
        return True

    try:
        return await app.db.transaction(work)
    except Lost:
        # Nobody knows whether it was committed. The guard makes a second try safe.
        return await app.db.transaction(work)
