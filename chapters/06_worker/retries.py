"""Chapter 06, part A, tasks 4 and 7: when a failed job runs again, and what makes it run. Read README.md first."""

import logging

from scheduler.app import App

log = logging.getLogger(__name__)


def backoff_delay(attempt: int, base: float, cap: float) -> float:
    """Task 4: how many seconds to wait after attempt number `attempt` (1, 2, 3 …) failed.

    Any time from zero up to a limit, at random. The limit is `base` after the first attempt and doubles with each one
    after, but is never above `cap`. It must work for any attempt number.

    Hint: by how much does `base` have to be multiplied after attempt 1, 2, 3? What is 2.0 ** 5000?
    """
    raise NotImplementedError("06_worker task 4: the delay before a retry")


async def pump_retries(app: App) -> int:
    """Task 7: queue the retries that are due, push their entries, and return how many there were.

    A retry is due when the database's clock has reached `next_run_at`. Two pumps may run at once: only the one that
    changed the row pushes. If Redis is away, log it: the row is queued, and the reconciler pushes it. All that are
    due in one call is right, and so is a limited number. README.md lists the columns.

    Hint: `app.queue.push_many(entries)` wants values with `task_id`, `type` and `priority`, as an `Entry` has. Which
    statement tells you what it has changed?
    """
    raise NotImplementedError("06_worker task 7: queue the retries that are due")
