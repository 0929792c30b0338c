"""What Redis is told about jobs, for whoever watches: a wake-up on `job:{id}`, and two views for people.

Nothing relies on any of it. Redis may lose a hint or be away: a watch then sees the change at its next poll, and the
database knows the leases and the dead letters anyway. So telling never fails and never makes a caller wait: it notes
what there is to tell, and one task tells whatever has gathered.

    job:{task_id}     pub/sub channel: this job changed; go and look
    leases            sorted set: task_id → the lease's deadline, in ms since 1970
    dlq:{priority}    list of the entries of dead-lettered jobs, newest first

A view that misses news mends itself: `tidy` takes leases out whose deadline is long past, whoever had to tell so and
did not.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scheduler.jobs import Job, Priority

log = logging.getLogger(__name__)

LEASES = "leases"
MAX_PENDING = 50_000
MAX_DEAD_LETTERS = 10_000
CHUNK = 500

LEASE_MARGIN_MS = 60_000
"""How long past its deadline a lease is shown at most: the clocks of two machines may differ by less."""

# ARGV: channels. Returns nothing. One call publishes on all of them: a PUBLISH each would cost more than a noop job.
PUBLISH = "for _, channel in ipairs(ARGV) do redis.call('PUBLISH', channel, 'changed') end"


def channel(task_id: UUID | str) -> str:
    """The pub/sub channel on which a job's changes are hinted at."""
    return f"job:{task_id}"


def dead_letters(priority: Priority) -> str:
    """The Redis list that shows the dead-lettered jobs of one priority."""
    return f"dlq:{priority}"


class Hints:
    """Tells Redis what changed. Every method returns at once, and none raises."""

    def __init__(self, redis: "Redis", encode_entry: Callable[[Job], bytes], prefix: str = "") -> None:
        self._redis = redis
        self._encode = encode_entry
        self._prefix = prefix
        self._changed: dict[str, None] = {}
        self._leases: dict[str, int | None] = {}
        self._dead: defaultdict[Priority, list[bytes]] = defaultdict(list)
        self._must_tidy = False
        self._teller: asyncio.Task[None] | None = None
        self._reachable = True

    def key(self, name: str) -> str:
        """The key of a view, `leases` say, in the Redis of this scheduler."""
        return self._prefix + name

    def changed(self, task_ids: Iterable[UUID]) -> None:
        """These jobs changed. Call it after the commit: a watch that wakes earlier reads the old row."""
        self._changed.update((str(task_id), None) for task_id in task_ids)
        self._tell_soon()

    def leased(self, jobs: Iterable[Job]) -> None:
        """These jobs run, until their `lease_expires_at` unless a heartbeat comes."""
        for job in jobs:
            if job.lease_expires_at is not None:
                self._leases[str(job.task_id)] = int(job.lease_expires_at.timestamp() * 1000)
        self._tell_soon()

    def released(self, task_ids: Iterable[UUID]) -> None:
        """These jobs do not run any more."""
        self._leases.update((str(task_id), None) for task_id in task_ids)
        self._tell_soon()

    def dead(self, jobs: Iterable[Job]) -> None:
        """These jobs became dead letters."""
        for job in jobs:
            self._dead[job.priority].append(self._encode(job))
        self._tell_soon()

    def tidy(self) -> None:
        """Take the leases out of their view that ended long ago, and of which Redis was never told."""
        self._must_tidy = True
        self._tell_soon()

    async def close(self) -> None:
        """Tell what is left."""
        if self._teller is not None:
            await self._teller

    def _tell_soon(self) -> None:
        if len(self._changed) + len(self._leases) > MAX_PENDING:
            self._forget()
        if self._teller is None:
            self._teller = asyncio.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        try:
            await asyncio.sleep(0)  # one turn of the loop, so that what belongs together goes together
            while self._changed or self._leases or self._dead or self._must_tidy:
                await self._tell()
        finally:
            self._teller = None

    async def _tell(self) -> None:
        try:
            await self._commands().execute(raise_on_error=False)
            self._reachable = True
        except (RedisError, OSError) as error:
            if self._reachable:
                log.warning("Redis gets no hints: %s. Watches poll until it is back.", type(error).__name__)
            self._reachable = False
        except Exception:
            log.exception("telling Redis of changes failed; it goes on with those that follow")

    def _commands(self) -> Any:
        """All that there is to tell, once: what can't be told now is forgotten."""
        try:
            pipe = self._redis.pipeline(transaction=False)
            self._add_leases(pipe)
            self._add_dead_letters(pipe)
            channels = [self.key(channel(task_id)) for task_id in self._changed]
            for start in range(0, len(channels), CHUNK):
                pipe.eval(PUBLISH, 0, *channels[start : start + CHUNK])
            return pipe
        finally:
            self._forget()

    def _add_leases(self, pipe: Any) -> None:
        leases = self.key(LEASES)
        deadlines = {task_id: deadline for task_id, deadline in self._leases.items() if deadline is not None}
        if deadlines:
            pipe.zadd(leases, deadlines)
        ended = [task_id for task_id, deadline in self._leases.items() if deadline is None]
        if ended:
            pipe.zrem(leases, *ended)
        if self._must_tidy:
            pipe.zremrangebyscore(leases, "-inf", int(time.time() * 1000) - LEASE_MARGIN_MS)

    def _add_dead_letters(self, pipe: Any) -> None:
        for priority, entries in self._dead.items():
            name = self.key(dead_letters(priority))
            pipe.lpush(name, *entries)
            pipe.ltrim(name, 0, MAX_DEAD_LETTERS - 1)

    def _forget(self) -> None:
        self._changed.clear()
        self._leases.clear()
        self._dead.clear()
        self._must_tidy = False
