"""What the API's process and the worker's have in common: a registry, a metrics port, and whether they are ready."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from scheduler.app import App
from scheduler.duties import cancel_and_wait
from scheduler.listening import mistake
from scheduler.liveness import LoopWatch

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
TELL_SECONDS = 0.2
FRESH_SECONDS = 4.0
"""How old the last good answer of the database may be."""


def process_registry() -> CollectorRegistry:
    """A registry of one's own that has memory, CPU and garbage collection in it already."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class Readiness:
    """Whether this process can do its work: the database has answered just now, nothing is stuck, and no end is near.

    It is judged when somebody asks, by the age of the last good answer: a database that is silent gives no bad one, and
    a loop that stands still asks nobody. Redis may be away; then jobs wait.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._answered_at: float | None = monotonic()  # it did, when the app was opened
        self._draining = False
        self.loop = LoopWatch()
        self.can_work: Callable[[], bool] = lambda: True
        """What else must hold: a worker's word that its claims do not fail."""

    @property
    def ready(self) -> bool:
        answered_at = self._answered_at
        if answered_at is None or self._draining:
            return False
        return monotonic() - answered_at < FRESH_SECONDS and self.can_work()

    def __call__(self) -> bool:
        return self.ready

    @property
    def alive(self) -> bool:
        """Whether the event loop has turned within the last `liveness_seconds`."""
        return self.loop.age < self._app.settings.liveness_seconds

    def drain(self) -> None:
        """From now on it is not ready, so that a balancer sends nobody here who would be refused."""
        self._draining = True

    async def watch(self, changed: Callable[[bool], Awaitable[None]] | None = None) -> None:
        """Ask every second, and call `changed` at first and whenever the answer is another, until cancelled."""
        with self.loop.watching():
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask())
                if changed is not None:
                    group.create_task(self._tell(changed))

    async def _ask(self) -> None:
        while True:
            try:
                async with asyncio.timeout(FRESH_SECONDS):
                    answers = await self._app.db.is_up()
            except TimeoutError:
                answers = False
            self._answered_at = monotonic() if answers else None
            await asyncio.sleep(CHECK_SECONDS)

    async def _tell(self, changed: Callable[[bool], Awaitable[None]]) -> None:
        told: bool | None = None
        while True:
            if self.ready is not told:
                told = self.ready
                await changed(told)
            await asyncio.sleep(TELL_SECONDS)


@contextmanager
def serving_metrics(
    app: App, registry: CollectorRegistry, default_port: int, readiness: Readiness
) -> Iterator[int]:
    """Serve the metrics while the block runs; gives the port. Raises `ConfigError` if it can't listen there."""
    settings = app.settings
    port = default_port if settings.metrics_port is None else settings.metrics_port
    try:
        server = app.parts.serve_metrics(registry, port, settings.metrics_host, readiness)
    except OSError:
        raise mistake("METRICS", settings.metrics_host, port) from None
    try:
        yield server.port
    finally:
        server.close()


class PartEnded(Exception):
    """A part of the process has ended that must not: the process ends, too."""


class Part:
    """Something endless that runs beside a block. If it ends by itself, the block is cancelled."""

    def __init__(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._name = name
        self._owner = asyncio.current_task()
        self._may_end = False
        self._broke_off = False
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._ended)

    def may_end(self) -> None:
        """From now on its end is expected."""
        self._may_end = True

    async def end(self) -> None:
        """Cancel it, and wait until it has ended."""
        self.may_end()
        await cancel_and_wait([self._task])

    async def wait(self) -> None:
        """Wait until it has ended by itself."""
        await asyncio.wait([self._task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._may_end and error is None:
            return
        self._broke_off = True
        log.critical("%s ended, and the process with it: %r", self._name, error, exc_info=error)
        if not self._may_end and self._owner is not None:
            self._owner.cancel()

    def check(self) -> None:
        """Raise `PartEnded` if it has ended by itself."""
        if self._broke_off:
            if self._owner is not None:
                self._owner.uncancel()
            error = None if self._task.cancelled() else self._task.exception()
            raise PartEnded(f"{self._name} ended by itself: {error!r}") from error


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[Part]:
    """Run something endless while the block runs. If it ends, the block is cancelled, and this raises `PartEnded`."""
    part = Part(name, work)
    try:
        yield part
    finally:
        await part.end()
        part.check()
