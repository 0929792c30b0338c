"""The worker's process: a worker, its maintenance, and its metrics port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from scheduler.app import App, open_app
from scheduler.config import Settings
from scheduler.parts import Parts
from scheduler.process import Readiness, background, process_registry, serving_metrics
from scheduler.worker.maintenance import maintain
from scheduler.worker.runs import take_care_of

METRICS_PORT = 2113
SPARE_THREADS = 32
"""A handler may wait for more than one thread at once; and there must be one left for those beside it."""


@dataclass(frozen=True)
class RunningWorker:
    """A worker that works: its app, and its metrics port."""

    app: App
    metrics_port: int


@asynccontextmanager
async def running_worker(settings: Settings, parts: Parts) -> AsyncIterator[RunningWorker]:
    """Work until the block is left; then stop: see `Worker.stop`.

    Raises `ConfigError` if the metrics port is taken, and what `open_app` raises if a service does not answer.
    """
    take_care_of(asyncio.get_running_loop(), settings.worker_pool_size + SPARE_THREADS)
    registry = process_registry()
    async with open_app(settings, parts, registry) as app:
        readiness = Readiness(app)
        with serving_metrics(app, registry, METRICS_PORT, readiness) as metrics_port:
            async with (
                background(readiness.watch(), "the watch over the database"),
                background(maintain(app), "the maintenance"),
            ):
                worker = parts.worker(app)
                readiness.can_work = lambda: not getattr(worker, "is_stuck", False)
                async with background(worker.run(), "the worker") as running:
                    try:
                        yield RunningWorker(app, metrics_port)
                    finally:
                        readiness.drain()
                        running.may_end()
                        await worker.stop()
                        await running.wait()
