"""Chapter 06, part B, tasks 8 to 10, 14 and 15: the loop. Read README.md beside this file first."""

import logging

from scheduler.app import App

log = logging.getLogger(__name__)


class Worker:
    """Runs jobs: takes an entry, claims the job, runs its handler, decides, finishes, and begins again."""

    def __init__(self, app: App) -> None:
        # Given. Add what you need; a constructor can't await, and need not.
        self.app = app

    async def run(self) -> None:
        """Task 8: take and run jobs, until `stop` is called.

        You reach the pieces as `self.app.parts.take(self.app, 1)` and so on: take, claim, run_handler, decide,
        backoff_delay (for a retry) and finish. No error of one job, and no service that is away for a while, ends the
        loop. A cancellation of `run` does.

        Task 9: up to `app.settings.worker_pool_size` jobs side by side. Task 14, stretch: heartbeats.

        Hint: what should happen between two turns while Redis is away? And which exceptions must go through?
        """
        raise NotImplementedError("06_worker task 8: a loop that takes and runs jobs")

    async def stop(self) -> None:
        """Task 10: take nothing more, let what runs come to its end, and return when `run` has.

        Task 15, stretch: handlers that do not end within `app.settings.shutdown_grace_seconds` are cancelled, and
        their jobs given back.

        Hint: `run` may be in the middle of a pop, or wait for a free slot. How does it hear of this?
        """
        raise NotImplementedError("06_worker task 10: stop the worker")
