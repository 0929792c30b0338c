"""What a worker process does beside running jobs: the retry pump, the reaper and the reconciler, each in its own loop.

Every worker process runs all three. They do not elect a leader, for they need none: each row goes to whichever UPDATE
reaches it first.
"""

import asyncio
from math import inf
from time import monotonic

from scheduler.app import App
from scheduler.database import DatabaseError, Unavailable
from scheduler.duties import LONGEST_PAUSE, every


async def maintain(app: App) -> None:
    """Run the duties of a worker process until cancelled."""
    settings, parts = app.settings, app.parts
    async with asyncio.TaskGroup() as group:
        group.create_task(every(settings.poll_seconds, app, parts.pump_retries))
        group.create_task(every(settings.poll_seconds, app, PatientReaper().reap))
        group.create_task(every(settings.reconcile_seconds, app, parts.reconcile))


class PatientReaper:
    """Reaps, but when the database was away lets a heartbeat pass first.

    Leases run out meanwhile whose workers are well: nobody could extend them, or write that a job is done. Who reaps in
    the moment in which the database is back takes healthy jobs away from all. A heartbeat later, whoever is alive has
    spoken, and what is left has lost its worker. This is fairness and no guard: a lease that has run out
    may be ended by anybody, at any time, and other workers, who reached the database all the while, do end it.
    """

    def __init__(self) -> None:
        self._answered_at = monotonic()
        self._reaps_from = -inf

    async def reap(self, app: App) -> int:
        """Reap, unless it is too early for that. Raises `DatabaseError`."""
        try:
            if not await app.db.is_up():
                raise Unavailable("the database is out of reach")
            await app.db.fetch_all("SELECT 1")  # by the way that finishes and heartbeats take
        except DatabaseError:
            self._answered_at = -inf
            raise
        now = monotonic()
        # A silence is noticed when it is over; also the silence of this process, which may have slept or stood still.
        if (
            now - self._answered_at
            > app.settings.heartbeat_seconds + LONGEST_PAUSE * app.settings.poll_seconds
        ):
            self._reaps_from = now + app.settings.heartbeat_seconds
        self._answered_at = now
        return await app.parts.reap(app) if now >= self._reaps_from else 0
