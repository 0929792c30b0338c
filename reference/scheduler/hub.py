"""One hub a process for all that its clients watch: one subscription and one poll, however many streams.

    worker ── PUBLISH job:{id} ──▶ hub ── one SELECT for all hinted ids ──▶ wakes the streams that watch them
                        each second: hub ── which of the watched rows have a newer version? ──▶ likewise

A hint may be lost, so the poll each second is what a watch relies on; hints make it fast. Each has a task of its own:
the poll goes through thousands of watches, slice by slice and spread over its second, and no hint waits for it. A
stream keeps only the latest state and a wake-up, so a client that reads slowly costs no memory and never holds up the
others.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from math import ceil
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from scheduler.database import Database, DatabaseError, Row
from scheduler.duties import cancel_and_wait, forever
from scheduler.errors import Draining, JobNotFound
from scheduler.hints import channel
from scheduler.jobs import Job, columns
from scheduler.redis_clients import heed_cancellation, is_outdated

log = logging.getLogger(__name__)

SLICE = 500
ALIVE = "job:"  # a channel that nobody publishes on: it keeps the subscription open while nothing is watched

# Which of these rows are newer than the version a watch has seen, or ended, or gone? A row that is gone has a NULL
# task_id. One that has ended counts at any version: a client may have been told of its end by another server.
NEWER = f"""
    SELECT v.id AS watched_id, {columns("t")}
    FROM unnest(%s::uuid[], %s::int8[]) AS v(id, version)
    LEFT JOIN tasks AS t ON t.task_id = v.id
    WHERE t.version IS NULL OR t.version > v.version OR t.finished_at IS NOT NULL
"""


class Watch:
    """One stream's view of one job: the version it has sent, the latest state, and a wake-up."""

    def __init__(self, task_id: UUID) -> None:
        self.task_id = task_id
        self.id = str(task_id)
        self.version = 0
        """The newest version that the stream has sent or, on resuming, need not send."""
        self._latest: Job | None = None
        self._end: Exception | None = None
        self._wake = asyncio.Event()

    @property
    def known(self) -> int:
        """The newest version that has reached this watch, sent or not."""
        return max(self.version, self._latest.version if self._latest else 0)

    async def newer(self) -> Job:
        """Wait until the job's version is above `version` or it has ended, and return it. States may be skipped.

        Raises `Draining` when the server stops, and `JobNotFound` when the row is deleted.
        """
        while not self._has_news:
            if self._end is not None:
                raise self._end
            self._wake.clear()
            await self._wake.wait()
        assert self._latest is not None
        return self._latest

    @property
    def _has_news(self) -> bool:
        latest = self._latest
        return latest is not None and (latest.version > self.version or latest.status.is_terminal)

    def deliver(self, job: Job) -> None:
        """Take a row that was read. One that was read before a newer one, and comes after it, says nothing any more."""
        if self._latest is None or job.version > self._latest.version:
            self._latest = job
            self._wake.set()

    def end(self, reason: Exception) -> None:
        self._end = reason
        self._wake.set()


class WatchHub:
    """Keeps the watches of a process up to date. Its three tasks start with the first watch."""

    def __init__(self, db: Database, redis: "Redis", poll_seconds: float, prefix: str = "") -> None:
        self._db = db
        self._redis = redis
        self._poll_seconds = poll_seconds
        self._prefix = prefix
        self._watches: defaultdict[UUID, set[Watch]] = defaultdict(set)
        self._hinted: set[UUID] = set()
        self._unreadable: set[UUID] = set()
        self._hint = asyncio.Event()
        self._pubsub: PubSub | None = None
        self._has_tried = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._draining = False
        self._database_answers = True
        self._redis_answers = True

    @asynccontextmanager
    async def watch(self, task_id: UUID) -> AsyncIterator[Watch]:
        """Watch one job. Enter this before the first read of its row, so that no change falls in between."""
        if self._draining:
            raise Draining
        if not self._tasks:
            self._tasks = self._start()
        watch = Watch(task_id)
        watches = self._watches[task_id]
        watches.add(watch)
        try:
            # The first watch of a process waits until the subscription stands, or is known to fail.
            await self._has_tried.wait()
            if len(watches) == 1:
                await self._subscribe(task_id)
                heed_cancellation()
            yield watch
        finally:
            watches.discard(watch)
            if not watches:
                del self._watches[task_id]
                self._unreadable.discard(task_id)
                await self._unsubscribe(task_id)

    def drain(self) -> None:
        """End every watch with `Draining`, and refuse new ones."""
        self._draining = True
        self._has_tried.set()
        for watches in self._watches.values():
            for watch in watches:
                watch.end(Draining())

    async def close(self) -> None:
        """Drain, and stop all tasks."""
        self.drain()
        await cancel_and_wait(self._tasks)

    def _start(self) -> list[asyncio.Task[None]]:
        work = {
            "listening for hints": self._listen,
            "looking at what was hinted at": self._look,
            "looking at all that is watched": self._poll,
        }
        return [
            asyncio.create_task(forever(name, one, self._poll_seconds), name=name)
            for name, one in work.items()
        ]

    def _channel(self, task_id: UUID) -> str:
        return self._prefix + channel(task_id)

    async def _subscribe(self, task_id: UUID) -> None:
        # Without Redis there is nothing to do: the next connection subscribes to all that is watched by then.
        with suppress(RedisError, OSError, RuntimeError):
            if self._pubsub is not None:
                await self._pubsub.subscribe(self._channel(task_id))

    async def _unsubscribe(self, task_id: UUID) -> None:
        with suppress(RedisError, OSError, RuntimeError):
            if self._pubsub is not None:
                await self._pubsub.unsubscribe(self._channel(task_id))

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await self._hear(pubsub)
            except (RedisError, OSError) as error:
                if self._redis_answers:
                    log.warning(
                        "no hints from Redis: %s. Watches poll until it is back.", type(error).__name__
                    )
                self._redis_answers = False
            await asyncio.sleep(self._poll_seconds)

    async def _hear(self, pubsub: PubSub) -> None:
        """Take hints for as long as this connection lasts, and leads to where hints are told."""
        try:
            await self._subscribe_to_all(pubsub)
            heed_cancellation()
            self._redis_answers = True
            while not is_outdated(pubsub.connection):
                message = await pubsub.get_message(timeout=self._poll_seconds)
                heed_cancellation()
                if message is not None:
                    self._take_hint(message["channel"])
        finally:
            self._pubsub = None
            self._has_tried.set()

    async def _subscribe_to_all(self, pubsub: PubSub) -> None:
        alive = self._prefix + ALIVE
        subscribed = {alive, *map(self._channel, self._watches)}
        await pubsub.subscribe(*subscribed)
        self._pubsub = pubsub  # from here on, each watch subscribes for itself
        self._has_tried.set()
        watched = {alive, *map(self._channel, self._watches)}
        if began := watched - subscribed:
            await pubsub.subscribe(*began)
        if ended := subscribed - watched:
            await pubsub.unsubscribe(*ended)

    def _take_hint(self, name: bytes) -> None:
        with suppress(ValueError):
            self._hinted.add(UUID(name.decode().removeprefix(self._prefix + ALIVE)))
            self._hint.set()

    async def _look(self) -> None:
        """Look at what was hinted at, as soon as the hint comes."""
        while True:
            await self._hint.wait()
            self._hint.clear()
            task_ids = self._hinted & self._watches.keys()
            self._hinted.clear()
            for some in _slices(task_ids):
                await self._deliver_newer(some)

    async def _poll(self) -> None:
        """Look at all that is watched, about every `poll_seconds`.

        Slice by slice, with pauses between them: each slice holds the loop for a moment, and all of them at once would
        hold up every hint that comes meanwhile.
        """
        while True:
            pause = self._poll_seconds / max(1, ceil(len(self._watches) / SLICE))
            await asyncio.sleep(pause)
            for number, some in enumerate(_slices(self._watches)):
                if number:
                    await asyncio.sleep(pause)
                await self._deliver_newer(some)

    async def _deliver_newer(self, task_ids: list[UUID]) -> None:
        known = self._known(task_ids)
        if not known:
            return
        # As two texts: psycopg would go through two lists value by value, and hold the loop for milliseconds.
        arrays = [f"{{{','.join(known)}}}", f"{{{','.join(map(str, known.values()))}}}"]
        try:
            rows = await self._db.fetch_all(NEWER, arrays)
        except DatabaseError:
            # The streams stay open: a database that is away for a moment is nothing that a watcher must know.
            if self._database_answers:
                log.warning("the database is away; watches wait until it is back")
            self._database_answers = False
            return
        self._database_answers = True
        for row in rows:
            try:
                self._deliver(row)
            except Exception:
                self._leave(row["watched_id"])

    def _leave(self, task_id: UUID) -> None:
        """A row that can't be read, a newer version's say, is passed over: it may blind no other watch."""
        if task_id not in self._unreadable:
            log.exception("a job can't be shown to its watches", extra={"job_id": task_id})
        self._unreadable.add(task_id)

    def _known(self, task_ids: list[UUID]) -> dict[str, int]:
        """The newest version that all watches of a job have, by the job's id as text."""
        known: dict[str, int] = {}
        for task_id in task_ids:
            for watch in self._watches.get(task_id, ()):
                known[watch.id] = min(watch.known, known.get(watch.id, watch.known))
        return known

    def _deliver(self, row: Row) -> None:
        for watch in self._watches.get(row["watched_id"], ()):
            if row["task_id"] is None:
                watch.end(JobNotFound(watch.task_id))
            else:
                watch.deliver(Job.from_row(row))


def _slices(task_ids: Iterable[UUID]) -> list[list[UUID]]:
    every = list(task_ids)
    return [every[start : start + SLICE] for start in range(0, len(every), SLICE)]
