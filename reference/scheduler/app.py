"""What every piece gets: the database, the queue, the settings and the rest, in one small frozen object."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from prometheus_client import CollectorRegistry
from redis.exceptions import RedisError

from scheduler.coalescer import Coalescer
from scheduler.config import ConfigError, Settings
from scheduler.database import Database
from scheduler.errors import Errors
from scheduler.hints import Hints
from scheduler.hub import WatchHub
from scheduler.late_queue import LateQueue, is_away
from scheduler.no_metrics import NoMetrics
from scheduler.redis_clients import make_sturdy
from scheduler.worker.handlers import Handlers, handlers
from scheduler.worker.http_call import HttpClient

if TYPE_CHECKING:
    from scheduler.job_queue import JobQueue
    from scheduler.parts import Parts

log = logging.getLogger(__name__)

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
    _begun: set[asyncio.Task[Any]] = field(default_factory=set, repr=False)

    @cached_property
    def guest(self) -> "App":
        """This app for code that may hold a connection for long: handlers, and calls that read much or wait for locks.

        Its `db` has connections of its own, so that guests can wait for each other, and nobody waits for them: neither
        a heartbeat nor a SubmitJob.
        """
        return replace(self, db=self.guest_db, _coalescers={})

    def begin(self, work: Coroutine[Any, Any, R]) -> "asyncio.Task[R]":
        """Do this in a task of its own, which the app sees through to its end, whoever leaves."""
        task = asyncio.create_task(work)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        return task

    async def see_through(self, work: Coroutine[Any, Any, R]) -> R:
        """Do this to its end, even if the caller leaves in the middle: what was committed has to be followed up."""
        task = self.begin(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_say_how_it_ended)
            raise

    async def finish(self) -> None:
        """Wait for all that was begun."""
        while self._begun:
            await asyncio.wait(self._begun)

    async def together(
        self, run: Callable[["App", list[T]], Awaitable[Sequence[R]]], item: T, *, size: int = 0
    ) -> R:
        """Do `run(app, [item])`, together with everybody who asks for the same `run` now: see `coalescer`."""
        coalescer = self._coalescers.get(run)
        if coalescer is None:
            coalescer = self._coalescers[run] = Coalescer(partial(run, self))
        result: R = await coalescer(item, size)
        return result


def _say_how_it_ended(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("a call whose client had left ended with %s", type(error).__name__)


@asynccontextmanager
async def open_app(
    settings: Settings, parts: "Parts", registry: CollectorRegistry | None = None
) -> AsyncIterator[App]:
    """Connect to the database and to Redis, and close both at the end.

    Raises `Unavailable` if the database does not answer. Redis may be away: that is logged, and jobs wait until it is
    there. Raises redis-py's `RedisError` if it answers and refuses us.
    """
    parts = _prefixed(parts, settings.redis_prefix)
    db = await Database.connect(settings)
    guest_db = await db.guests(settings)
    try:
        queue = await _queue(settings, parts)
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
                await app.finish()
                await app.http.close()
                await hub.close()
                await hints.close()
        finally:
            await queue.close()
    finally:
        await guest_db.close()
        await db.close()


async def _queue(settings: Settings, parts: "Parts") -> "JobQueue":
    try:
        return await parts.connect(settings)
    except RedisError as error:
        if not is_away(error):
            raise
        log.warning(
            "Redis does not answer at %s:%d (%s); jobs are accepted and wait until it does: "
            "see REDIS_HOST and REDIS_PORT",
            settings.redis_host,
            settings.redis_port,
            type(error).__name__,
        )
        return cast("JobQueue", LateQueue(parts.connect, settings))


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
