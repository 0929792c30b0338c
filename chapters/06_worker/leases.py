"""Chapter 06, stretch, tasks 11, 13 and 15: leases. Read README.md beside this file first."""

from collections.abc import Sequence
from uuid import UUID

from scheduler.app import App
from scheduler.jobs import Job


async def heartbeat(app: App, jobs: Sequence[Job]) -> set[UUID]:
    """Task 11: extend the leases of these jobs, and return the ids of those that are still ours.

    Ours is a job that is running, in the attempt that `job.attempts` names. Its `lease_expires_at` becomes the
    database's now plus `app.settings.lease_seconds`; no other column changes.

    Hint: the same job may be running elsewhere, in a later attempt. What tells the two apart?
    """
    raise NotImplementedError("06_worker task 11: extend the leases")


async def reap(app: App) -> int:
    """Task 13: end the attempts whose lease has run out, and return how many there were.

    Each becomes a retry that is due now, or a dead letter if no attempt is left; and each gets its row of
    `task_attempts`. Push nothing: that is the pump's work. README.md lists the columns.

    Hint: the worker may send its heartbeat while you look. Which of the two must then win?
    """
    raise NotImplementedError("06_worker task 13: end the attempts whose lease has run out")


async def give_back(app: App, jobs: Sequence[Job]) -> list[Job]:
    """Task 15: queue again what a stopping worker had begun, and return the rows that were still its own.

    `attempts` stays as it is; the job gets one attempt more (`max_attempts`) instead. The caller pushes the entries.
    README.md lists the columns.

    Hint: why not simply take the attempt back? Think of the fence.
    """
    raise NotImplementedError("06_worker task 15: give jobs back")
