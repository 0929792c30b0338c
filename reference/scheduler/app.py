"""What every piece gets: the database, the queue, the settings and the rest, in one small frozen object."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client import CollectorRegistry

from scheduler.coalescer import Coalescer
from scheduler.config import ConfigError, Settings
from scheduler.database import Database
from scheduler.errors import Errors
from scheduler.hints import Hints
from scheduler.hub import WatchHub
from scheduler.no_metrics import NoMetrics
from scheduler.redis_clients import make_sturdy
from scheduler.worker.handlers import Handlers, handlers
from scheduler.worker.http_call import HttpClient

if TYPE_CHECKING:
    from scheduler.job_queue import JobQueue
    from scheduler.parts import Parts

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class App:
    """One process's connections and tools. A piece is a function of an `App` and of what it works on."""

    settings: Settings
    db: Database
    guest_db: Database
    queue: "JobQueue"
    hints: Hints
    hub: WatchHub
    errors: Errors
    metrics: NoMetrics
    handlers: Handlers
    parts: "Parts"
    http: HttpClient = field(default_factory=HttpClient, repr=False)
    _coalescers: dict[Any, Coalescer[Any, Any]] = field(default_factory=dict, repr=False)

    @cached_property
    def guest(self) -> "App":
        """This app for code that may hold a connection for long: handlers, and calls that read much or wait for locks.

        Its `db` has connections of its own, so that guests can wait for each other, and nobody waits for them: neither
        a heartbeat nor a SubmitJob.
        """
        return replace(self, db=self.guest_db, _coalescers={})

    async def together(
        self, run: Callable[["App", list[T]], Awaitable[Sequence[R]]], item: T, *, size: int = 0
    ) -> R:
        """Do `run(app, [item])`, together with everybody who asks for the same `run` now: see `coalescer`."""
        coalescer = self._coalescers.get(run)
        if coalescer is None:
            coalescer = self._coalescers[run] = Coalescer(partial(run, self))
        result: R = await coalescer(item, size)
        return result


@asynccontextmanager
async def open_app(
    settings: Settings, parts: "Parts", registry: CollectorRegistry | None = None
) -> AsyncIterator[App]:
    """Connect to the database and to Redis, and close both at the end.

    Raises `Unavailable` or redis-py's `RedisError` if one of them does not answer.
    """
    parts = _prefixed(parts, settings.redis_prefix)
    db = await Database.connect(settings)
    guest_db = await db.guests(settings)
    try:
        queue = await parts.connect(settings)
        try:
            await make_sturdy(queue.redis, queue.blocking)
            hints = Hints(queue.redis, parts.encode_entry, settings.redis_prefix)
            hub = WatchHub(db, queue.redis, settings.watch_poll_seconds, settings.redis_prefix)
            app = App(
                settings=settings,
                db=db,
                guest_db=guest_db,
                queue=queue,
                hints=hints,
                hub=hub,
                errors=Errors(),
                metrics=parts.build_metrics(registry or CollectorRegistry()),
                handlers=handlers,
                parts=parts,
            )
            try:
                yield app
            finally:
                await app.http.close()
                await hub.close()
                await hints.close()
        finally:
            await queue.close()
    finally:
        await guest_db.close()
        await db.close()


def _prefixed(parts: "Parts", prefix: str) -> "Parts":
    """The same pieces, with a prefix before the names of the queues. Raises `ConfigError` if not all can have one.

    Chapters spell the names of the lesson, in several places. Half of them with a prefix would be worse than none.
    """
    from scheduler.parts import reference

    if not prefix:
        return parts
    if parts != reference():
        raise ConfigError(
            "REDIS_PREFIX is for the reference alone: pieces of the chapters name their queues q:high …"
        )
    return replace(parts, queue_name=lambda priority: prefix + parts.queue_name(priority))
