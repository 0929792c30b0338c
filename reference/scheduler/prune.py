"""Deleting jobs that have ended, so that the table does not grow for ever."""

from datetime import timedelta

from scheduler.database import Database

BATCH = 1_000

# A job that is requeued at this moment is no longer terminal when its row is locked, and stays: the conditions are
# asked again outside. created_at adds nothing to finished_at, except that the index is ordered by it.
PRUNE = """
    WITH gone AS (
        DELETE FROM tasks
        WHERE status IN ('succeeded', 'failed', 'deadletter', 'cancelled')
            AND finished_at < now() - %s * interval '1 second'
            AND task_id IN (
                SELECT task_id FROM tasks
                WHERE status IN ('succeeded', 'failed', 'deadletter', 'cancelled')
                    AND created_at < now() - %s * interval '1 second'
                    AND finished_at < now() - %s * interval '1 second'
                LIMIT %s)
        RETURNING task_id
    ), attempts AS (
        DELETE FROM task_attempts WHERE task_id IN (SELECT task_id FROM gone)
    )
    SELECT count(*) AS deleted FROM gone
"""


async def prune(db: Database, older_than: timedelta, batch: int = BATCH) -> int:
    """Delete up to `batch` jobs that ended more than `older_than` ago, with their attempts, and say how many.

    Call it until it answers 0: small batches hold no lock for long. The idempotency keys of deleted jobs are free
    again. Raises `Unavailable`.
    """
    seconds = older_than.total_seconds()
    row = await db.fetch_one(PRUNE, [seconds, seconds, seconds, batch])
    return int(row["deleted"]) if row else 0
