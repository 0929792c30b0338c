"""Chapter 06: when a failed job runs again, and the pump that makes it run."""

import logging
import random

from redis.exceptions import RedisError

from scheduler.app import App
from scheduler.entry import Entry
from scheduler.jobs import Priority
from scheduler.worker.batches import Due

log = logging.getLogger(__name__)

BATCH = 500


def backoff_delay(attempt: int, base: float, cap: float) -> float:
    """Seconds to wait after attempt number `attempt` failed: up to `base`, then twice that, and so on, up to `cap`.

    Full jitter: any time from zero to the limit. Jobs that failed together would otherwise all come back together.
    """
    # Past 2**63 the cap has long been reached, and a float would overflow in the end.
    return random.uniform(0, min(cap, base * 2 ** min(attempt - 1, 63)))


PROMOTE = Due(
    "next_run_at <= now()",
    "next_run_at",
    """
    WITH due AS ({due})
    UPDATE tasks AS t
    SET status = 'queued', next_run_at = NULL, queued_at = now(), pushed_at = now(),
        version = version + 1, updated_at = now()
    FROM due
    WHERE t.task_id = due.task_id AND t.status = 'retry'
    RETURNING t.task_id, t.type, t.priority
    """,
    # Another pump may have moved one of them. Then its entry comes twice, which the claim's guard makes harmless.
    done="""
    SELECT t.task_id, t.type, t.priority
    FROM unnest(%s::uuid[], %s::int8[], %s::timestamptz[]) AS v(id, was, seen) JOIN tasks AS t ON t.task_id = v.id
    WHERE t.status = 'queued' AND t.version = v.was + 1
    """,
)


async def pump_retries(app: App) -> int:
    """Queue the retries that are due, 500 at most, and return how many there were.

    Two pumps may run at once. A row goes to the one whose UPDATE reaches it first, and only that one pushes its entry.
    Raises `Unavailable`.
    """
    rows = await PROMOTE.fetch(app)
    jobs = [Entry(row["task_id"], row["type"], Priority(row["priority"])) for row in rows]
    if jobs:
        app.hints.changed(job.task_id for job in jobs)
        await push_or_leave(app, jobs)
    return len(jobs)


async def push_or_leave(app: App, jobs: list[Entry]) -> bool:
    """Push these jobs, or leave them to the reconciler if Redis is away; whether it worked."""
    try:
        await app.queue.push_many(jobs)
    except RedisError as error:
        log.warning("%d jobs not pushed, the reconciler will: %s", len(jobs), type(error).__name__)
        app.metrics.push_failed(len(jobs))
        return False
    return True
