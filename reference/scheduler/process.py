"""What the API's process and the worker's have in common: a registry, a metrics port, and whether they are ready."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from scheduler.app import App
from scheduler.config import ConfigError
from scheduler.duties import cancel_and_wait

CHECK_SECONDS = 1.0


def process_registry() -> CollectorRegistry:
    """A registry of one's own that has memory, CPU and garbage collection in it already."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class Readiness:
    """Whether this process can do its work: whether the database answers, and it is not about to end.

    Redis may be away; then jobs wait.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._database_answers = True
        self._draining = False

    @property
    def ready(self) -> bool:
        return self._database_answers and not self._draining

    def drain(self) -> None:
        """From now on it is not ready, so that a balancer sends nobody here who would be refused."""
        self._draining = True

    async def watch(self, changed: Callable[[bool], Awaitable[None]] | None = None) -> None:
        """Look every second, and call `changed` at first and whenever the answer is another, until cancelled."""
        told: bool | None = None
        while True:
            self._database_answers = await self._app.db.is_up()
            if changed is not None and self.ready is not told:
                told = self.ready
                await changed(self.ready)
            await asyncio.sleep(CHECK_SECONDS)


@contextmanager
def serving_metrics(
    app: App, registry: CollectorRegistry, default_port: int, readiness: Readiness
) -> Iterator[int]:
    """Serve the metrics while the block runs; gives the port. Raises `ConfigError` if the port is taken."""
    settings = app.settings
    port = default_port if settings.metrics_port is None else settings.metrics_port
    try:
        server = app.parts.serve_metrics(registry, port, settings.metrics_host, lambda: readiness.ready)
    except OSError:
        raise ConfigError(
            f"METRICS_PORT: can't listen on {settings.metrics_host}:{port}; choose a port that is free"
        ) from None
    try:
        yield server.port
    finally:
        server.close()


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something endless while the block runs."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await cancel_and_wait([task])
