"""Chapter 01: the Redis queues, one list a priority.

    LPUSH ──▶ [ newest … oldest ] ──▶ BLMPOP … RIGHT       first in, first out

An entry says which job waits; the database says whether it is still to be done. So an entry may get lost or come twice
and no harm is done: the claim decides, and the reconciler pushes again what was lost.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from scheduler.coalescer import Coalescer
from scheduler.config import Settings
from scheduler.jobs import Priority

COMMAND_SECONDS = 0.5
"""An ordinary command that takes longer has failed: redis-py's own default would hold a SubmitJob up for seconds."""

BLOCK_SECONDS = 1.0
"""How long a blocking pop waits for an entry. Stopping a worker waits this long at most."""


class Queueable(Protocol):
    """What an entry is made of: a `Job` has it, and so has any of its kind."""

    @property
    def task_id(self) -> UUID: ...
    @property
    def type(self) -> str: ...
    @property
    def priority(self) -> Priority: ...


class Entry(NamedTuple):
    """One entry of a queue: the job that waits."""

    task_id: UUID
    type: str
    priority: Priority


def queue_name(priority: Priority) -> str:
    """The Redis list of a priority: `q:critical`, `q:high`, `q:default` or `q:low`.

    Raises `ValueError` for anything else.
    """
    return f"q:{Priority(priority)}"


QUEUES = [queue_name(priority) for priority in Priority]
"""All four lists, the most urgent first: the order in which a worker looks into them."""

_to_json = json.JSONEncoder(separators=(",", ":")).encode


def encode_entry(job: Queueable) -> bytes:
    """The bytes of a job's entry, always the same for the same job, so that LREM finds them again."""
    return _to_json({"task_id": str(job.task_id), "type": job.type, "priority": str(job.priority)}).encode()


def decode_entry(raw: bytes) -> Entry:
    """Read an entry. Raises `ValueError` if it is not one: Redis holds what anybody pushed."""
    try:
        fields = json.loads(raw)
        return Entry(UUID(fields["task_id"]), str(fields["type"]), Priority(fields["priority"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not an entry of a queue: {raw[:200]!r}") from error


class JobQueue:
    """The queues. `redis` is for ordinary commands, `blocking` for pops that wait."""

    def __init__(self, redis: "Redis", blocking: "Redis") -> None:
        self.redis = redis
        self.blocking = blocking
        self._push = Coalescer(self._push_each)

    async def push(self, job: Queueable) -> None:
        """Put a job at the end of its queue. Calls at the same time share one round trip.

        Raises redis-py's `RedisError` if Redis does not take it.
        """
        await self._push(job)

    async def push_many(self, jobs: Sequence[Queueable]) -> None:
        """Put several jobs at the ends of their queues, in this order. Raises as `push` does."""
        entries: defaultdict[str, list[bytes]] = defaultdict(list)
        for job in jobs:
            entries[queue_name(job.priority)].append(encode_entry(job))
        async with self.redis.pipeline(transaction=False) as pipe:
            for name, values in entries.items():
                pipe.lpush(name, *values)
            await pipe.execute()

    async def close(self) -> None:
        """Close both clients."""
        await self.redis.aclose()
        await self.blocking.aclose()

    async def _push_each(self, jobs: list[Queueable]) -> list[None]:
        await self.push_many(jobs)
        return [None] * len(jobs)


async def connect(settings: Settings) -> JobQueue:
    """Connect to the Redis of the settings, and make sure that it answers.

    Raises redis-py's `RedisError` if it does not; nothing is left open then.
    """
    queue = JobQueue(
        client(settings, socket_timeout=COMMAND_SECONDS),
        client(settings, socket_timeout=BLOCK_SECONDS + 2),
    )
    try:
        await queue.redis.ping()
    except BaseException:
        await queue.close()
        raise
    return queue


def client(settings: Settings, *, socket_timeout: float) -> Any:
    """A client of the Redis of the settings that gives up after `socket_timeout` seconds and never tries again.

    Trying again is for those who know what it would mean: a pop whose reply was lost has taken its entry.
    """
    return Redis(
        **settings.redis_address(),
        socket_timeout=socket_timeout,
        socket_connect_timeout=COMMAND_SECONDS,
        retry=Retry(NoBackoff(), 0),
        client_name="scheduler",
    )
