"""Chapter 06, part A, tasks 1 to 3, 5, 6 and 12: what becomes of one job. Read README.md beside this file first."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.app import App
from scheduler.entry import Entry
from scheduler.jobs import Job, PermanentError, Status

log = logging.getLogger(__name__)


async def take(app: App, limit: int) -> list[Entry]:
    """Task 1: pop up to `limit` entries, the most urgent and then the oldest first. `[]` if none comes in a second.

    One entry at a time is a right answer too. What `decode_entry` refuses is logged and dropped. Let redis-py's
    `RedisError` through when Redis is away. Pop with `app.queue.blocking`, for `BLOCK_SECONDS`, and never cancel it.

    Hint: BRPOP takes several lists. In which order does it look at them? What does it answer when nothing came, and
    what does 0 seconds mean to it?
    """
    raise NotImplementedError("06_worker task 1: take entries from the queues")


async def claim(app: App, entries: Sequence[Entry]) -> list[Job]:
    """Task 2: make these jobs running, and return the rows of those that were still queued.

    An entry may stand here twice, and its job may be running, finished or unknown: then there is nothing to return
    for it. README.md lists the columns.

    Hint: two workers hold an entry of the same job. Which single statement can only succeed for one of them, and how
    does that one get the row?
    """
    raise NotImplementedError("06_worker task 2: claim jobs")


async def run_handler(app: App, job: Job) -> Exception | None:
    """Task 3: run the job's handler for `app.settings.handler_timeout_seconds` at most, and return its error, if any.

    `await app.handlers.run(app, job)` runs it. A handler that takes too long is an error like any other. A
    cancellation of this function is none: let it through.

    Hint: which exceptions does `except Exception` not catch, and why is that just right here?
    """
    raise NotImplementedError("06_worker task 3: run a handler within its time")


@dataclass(frozen=True)
class Outcome:
    """Given: what should become of a job: its next status, why, and for a retry after how many seconds."""

    status: Status
    error: str | None = None
    delay: float = 0.0


def decide(job: Job, error: Exception | None) -> Outcome:
    """Task 5: what becomes of a job whose handler returned (`error` is None) or failed.

    succeeded, failed (a `PermanentError`), retry (attempts are left) or deadletter (none is). Leave `delay` alone: the
    worker fills it in. `sentence(error)` makes the text.

    Hint: `job.attempts` already counts the attempt that has just ended. With max_attempts 3, which is the last?
    """
    raise NotImplementedError("06_worker task 5: decide what becomes of a job")


def sentence(error: Exception) -> str:
    """Given: an error as text that the database can hold: never empty, no NUL, and not without end."""
    try:
        text = str(error)
    except Exception:
        text = "its text can't be shown"
    if not isinstance(error, PermanentError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    text = text[:2_000].replace("\0", "")
    return text.encode("utf-8", "replace").decode()


async def finish(app: App, job: Job, outcome: Outcome) -> bool:
    """Task 6: write what became of the job, and its row of `task_attempts`, both or neither. Whether it was written.

    False means that the job was not running any more: somebody cancelled it, for instance. Then write nothing.
    README.md lists the columns. Task 12, stretch: False too if the job runs again, for another worker.

    Hint: what does a reader see between two transactions? And who else may have changed the row since the claim?
    """
    raise NotImplementedError("06_worker task 6: finish a job")
