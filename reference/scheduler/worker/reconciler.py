"""The reconciler: finds queued jobs that have no entry in Redis, and pushes them again. Given to the learner.

An entry is lost when a process dies between its INSERT and its LPUSH, when Redis is away or emptied, and when a worker
dies between its pop and its claim. Nothing says so, but the order does. A queue is first in, first out, so a job that
was pushed well before the oldest entry in the queue should have come out before it; if it is still queued, its entry is
lost.

    pushed_at   ─── 12:00:01 ──── 12:00:07 ───────── 12:01:10 ── 12:01:30 ──▶
    rows                 A             B                  C           D          all still queued
    Redis                                                 C           D          so A and B are lost
                                                          └ the watermark
"""

import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from scheduler.app import App
from scheduler.entry import Entry, decode_entry
from scheduler.jobs import Priority
from scheduler.worker.batches import Due
from scheduler.worker.retries import push_or_leave

log = logging.getLogger(__name__)

OLDEST = 100
DEEPEST = 2_000
"""How many entries are looked at where the oldest ones are all of jobs that wait no more, cancelled ones say."""
BATCH = 500
MOST_BATCHES = 100

WATERMARK = "SELECT min(pushed_at) AS watermark FROM tasks WHERE task_id = ANY(%s::uuid[])"
"""It is NULL unless a job is queued."""
PUSH_AGAIN = Due(
    "priority = %s AND pushed_at < %s",
    "pushed_at",
    """
    WITH due AS ({due})
    UPDATE tasks AS t SET pushed_at = now()
    FROM due
    WHERE t.task_id = due.task_id AND t.status = 'queued'
    RETURNING t.task_id, t.type, t.priority
    """,
    done="""
    SELECT t.task_id, t.type, t.priority
    FROM unnest(%s::uuid[], %s::int8[], %s::timestamptz[]) AS v(id, was, seen) JOIN tasks AS t ON t.task_id = v.id
    WHERE t.version = v.was AND t.pushed_at >= v.seen
    """,
)


async def reconcile(app: App) -> int:
    """Push the queued jobs whose entries are lost, and return how many there were.

    Raises `Unavailable`, or redis-py's `RedisError` if Redis is away.
    """
    pushed = 0
    for priority in Priority:
        watermark = await _watermark(app, priority)
        if watermark is not None:
            pushed += await _push_older(app, priority, watermark)
    app.hints.tidy()
    if pushed:
        log.info("pushed %d jobs whose entries were lost", pushed)
        app.metrics.entries_repushed(pushed)
    return pushed


async def _watermark(app: App, priority: Priority) -> datetime | None:
    """When the oldest entry that still counts was pushed; None if this pass can't tell.

    The entries are read first. A job that is pushed afterwards is younger than all of them, so it is never mistaken
    for a lost one.
    """
    for depth in (OLDEST, DEEPEST):
        oldest = await app.queue.redis.lrange(app.parts.queue_name(priority), -depth, -1)
        row = await app.db.fetch_one(WATERMARK, [_task_ids(oldest)]) if oldest else None
        if row and row["watermark"]:
            watermark: datetime = row["watermark"]
            return watermark
        if (
            len(oldest) < depth
        ):  # that was the whole queue, and nobody waits in it: whoever waits has no entry
            row = await app.db.fetch_one("SELECT now() AS watermark")
            return row["watermark"] if row else None
    return None


def _task_ids(entries: list[Any]) -> list[UUID]:
    found: list[UUID] = []
    for raw in entries:
        try:
            found.append(decode_entry(raw).task_id)
        except ValueError:
            continue  # the worker that pops it counts it and drops it
    return found


async def _push_older(app: App, priority: Priority, watermark: datetime) -> int:
    """Push the queued jobs that were pushed well before the watermark.

    The margin covers a process that is slow between its UPDATE of pushed_at and its LPUSH. Two reconcilers may run at
    once: the UPDATE moves pushed_at past the watermark, so the second finds no row.
    """
    before = watermark - timedelta(seconds=app.settings.reconcile_age_seconds)
    pushed = 0
    for _ in range(MOST_BATCHES):
        rows = await PUSH_AGAIN.fetch(app, priority, before)
        jobs = [Entry(row["task_id"], row["type"], Priority(row["priority"])) for row in rows]
        if jobs and not await push_or_leave(app, jobs):
            break
        pushed += len(jobs)
        if len(jobs) < BATCH:
            break
    return pushed
