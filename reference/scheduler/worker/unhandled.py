"""Jobs whose type nobody has registered here. In a rolling deploy an old worker meets new types; a newer one has them.

So such a job is left to others: its entry goes back to the queue after a pause, and no attempt is begun. Only a job
that has waited for long, so that nobody may have its handler, is claimed all the same. Its attempt fails then, and
after its attempts it ends. And an entry whose job has ended meanwhile is left to the claim, which finds nothing: it
would go round for ever.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from scheduler.app import App
from scheduler.entry import Entry
from scheduler.worker.retries import push_or_leave

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
MOST_HELD = 1_000

WAITS = """
    SELECT task_id FROM tasks
    WHERE task_id = ANY(%s::uuid[]) AND status = 'queued' AND queued_at >= now() - %s * interval '1 second'
"""


class NoHandler(Exception):
    """No worker has taken the job that has a handler for its type."""


class Unhandled:
    """The entries that this worker has taken and leaves to others."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._held: set[Entry] = set()
        self._returns: set[asyncio.Task[None]] = set()
        self._named: set[str] = set()
        self._closing = asyncio.Event()

    async def without(self, entries: Sequence[Entry]) -> list[Entry]:
        """The entries that are to be claimed; the others go back to their queues. Raises `DatabaseError`."""
        unknown = [entry for entry in entries if entry.type not in self._app.handlers]
        if not unknown:
            return list(entries)
        self._name(unknown)
        waiting = await self._waiting(unknown)
        left = {entry for entry in unknown if entry.task_id in waiting}
        self._return_later(left)
        if len(self._held) > MOST_HELD:
            await asyncio.sleep(PAUSE_SECONDS)  # the queue is full of them: do not go round with all of it
        return [entry for entry in entries if entry not in left]

    async def close(self) -> None:
        """Give back at once what is held."""
        # Not by cancelling: a task that is cancelled before its first step gives nothing back.
        self._closing.set()
        await asyncio.gather(*self._returns)

    async def _waiting(self, entries: list[Entry]) -> set[object]:
        ids = [entry.task_id for entry in entries]
        try:
            rows = await self._app.db.fetch_all(WAITS, [ids, self._app.settings.unknown_type_seconds])
        except BaseException:
            self._return_later(set(entries))
            raise
        return {row["task_id"] for row in rows}

    def _return_later(self, entries: set[Entry]) -> None:
        if entries:
            self._held |= entries
            task = asyncio.create_task(self._return(entries))
            self._returns.add(task)
            task.add_done_callback(self._returns.discard)

    async def _return(self, entries: set[Entry]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE_SECONDS):
                await self._closing.wait()
        self._held -= entries
        await push_or_leave(self._app, list(entries))

    def _name(self, entries: list[Entry]) -> None:
        self._app.metrics.unknown_types(len(entries))
        for entry in entries:
            if entry.type not in self._named and len(self._named) < MOST_HELD:
                self._named.add(entry.type)
                log.warning(
                    "no handler here for a type, its jobs are left to other workers",
                    extra={"type": entry.type},
                )
