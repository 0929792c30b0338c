"""Deleting jobs that have ended, so that the table does not grow for ever, and what Redis shows of them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from scheduler.database import Database
from scheduler.entry import decode_entry
from scheduler.hints import dead_letters
from scheduler.jobs import Priority

BATCH = 1_000
CHUNK = 500

# A job that is requeued at this moment has no finished_at when its row is locked, or a new one, and stays: so that is
# asked again outside. status and created_at add nothing to it, except that they are the columns of an index.
# CockroachDB refuses a part of a WITH that returns nothing.
PRUNE = """
    WITH gone AS (
        DELETE FROM tasks
        WHERE finished_at < now() - %s * interval '1 second'
            AND task_id IN (
                SELECT task_id FROM tasks
                WHERE status IN ('succeeded', 'failed', 'deadletter', 'cancelled')
                    AND created_at < now() - %s * interval '1 second'
                    AND finished_at < now() - %s * interval '1 second'
                LIMIT %s)
        RETURNING task_id
    ), attempts AS (
        DELETE FROM task_attempts WHERE task_id IN (SELECT task_id FROM gone) RETURNING task_id
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


STILL_DEAD = "SELECT task_id FROM tasks WHERE task_id = ANY(%s::uuid[]) AND status = 'deadletter'"


async def prune_dead_letters(db: Database, redis: "Redis", prefix: str = "") -> int:
    """Take out of the views `dlq:*` what is no dead letter any more, and say how many entries that were.

    Such a job was deleted, or requeued while Redis was away. Raises `Unavailable`, or redis-py's `RedisError`.
    """
    removed = 0
    for priority in Priority:
        view = prefix + dead_letters(priority)
        entries: list[Any] = await redis.lrange(view, 0, -1)
        for start in range(0, len(entries), CHUNK):
            gone = await _no_dead_letters(db, entries[start : start + CHUNK])
            async with redis.pipeline(transaction=False) as pipe:
                for entry in gone:
                    pipe.lrem(view, -1, entry)  # type: ignore[arg-type]  # from the end: there are the old ones
                removed += sum(await pipe.execute())
    return removed


async def _no_dead_letters(db: Database, entries: list[bytes]) -> list[bytes]:
    by_entry: dict[bytes, UUID | None] = {}
    for entry in entries:
        try:
            by_entry[entry] = decode_entry(entry).task_id
        except ValueError:
            by_entry[entry] = None
    rows = await db.fetch_all(STILL_DEAD, [[task_id for task_id in by_entry.values() if task_id is not None]])
    dead = {row["task_id"] for row in rows}
    return [entry for entry, task_id in by_entry.items() if task_id not in dead]
