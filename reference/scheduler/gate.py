"""The door of the API: it lets calls in until the server stops, and then sees them out.

    open ─▶ refusing ─▶ ending ─▶ holding ─▶ (gRPC stops) ─▶ released

While it refuses, a new call gets UNAVAILABLE at once, and what came before is answered. What is left when the grace is
over is ended, with UNAVAILABLE too. Then new calls are held for a moment, for gRPC cancels what is on its way in when
it stops, and a client can't tell that from a cancel of its own. A call that is held has come in already: gRPC is
stopped, which sends every client elsewhere, and the call is refused like the others.
"""

import asyncio
from contextlib import suppress
from types import TracebackType

from scheduler.errors import Draining

ENDING_SECONDS = 1.0
"""How long calls that were ended may take to end."""
AGAIN_SECONDS = 0.1
HOLDING_SECONDS = 1.0
QUIET_SECONDS = 0.03
"""When no call has come for so long, none is on its way in."""


class Gate:
    """Knows who is inside. `with await gate.call():` is one call, in the task that serves it."""

    def __init__(self) -> None:
        self.ending = False
        self._closed = False
        self._calls: set[asyncio.Task[object]] = set()
        self._visits: set[asyncio.Task[object]] = set()
        self._left = asyncio.Event()
        self._arrived = asyncio.Event()
        self._released = asyncio.Event()
        self._holding = False

    async def call(self) -> "Stay":
        """A call that a stopping server answers first, if it can. Raises `Draining` once the gate is closed."""
        if self._closed:
            self._arrived.set()
            if self._holding:
                await self._released.wait()
            raise Draining
        return Stay(self, self._calls)

    async def visit(self) -> "Stay":
        """A stream that nobody waits for, such as one of the health service: it goes on until the calls are over."""
        return Stay(self, self._visits)

    async def close(self, grace_seconds: float) -> None:
        """Refuse new calls, wait for the others up to the grace, and end what is left."""
        self._closed = True
        await self._until_empty(grace_seconds)
        self.ending = True
        loop = asyncio.get_running_loop()
        over = loop.time() + ENDING_SECONDS
        while (left := self._calls | self._visits) and loop.time() < over:
            for task in left:
                task.cancel()
            await self._until_one_left(AGAIN_SECONDS)

    async def hold(self) -> None:
        """Keep new calls waiting from now on. Returns when none has come for a moment."""
        self._holding = True
        loop = asyncio.get_running_loop()
        over = loop.time() + HOLDING_SECONDS
        while loop.time() < over:
            self._arrived.clear()
            await _within(QUIET_SECONDS, self._arrived)
            if not self._arrived.is_set():
                return

    def release(self) -> None:
        """Refuse those that were kept waiting."""
        self._released.set()

    def left(self) -> None:
        self._left.set()

    async def _until_empty(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        over = loop.time() + seconds
        while self._calls and loop.time() < over:
            await self._until_one_left(over - loop.time())

    async def _until_one_left(self, seconds: float) -> None:
        self._left.clear()
        await _within(seconds, self._left)


class Stay:
    """One call's time inside. A call that the gate ended raises `Draining`, so that its client hears why."""

    def __init__(self, gate: Gate, group: set[asyncio.Task[object]]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._gate = gate
        self._group = group
        self._task: asyncio.Task[object] = task

    def __enter__(self) -> None:
        self._group.add(self._task)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._group.discard(self._task)
        self._gate.left()
        if self._gate.ending and isinstance(error, asyncio.CancelledError):
            raise Draining from None


async def _within(seconds: float, event: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
