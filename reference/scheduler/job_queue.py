"""Chapter 01: the Redis queues, one list a priority.

    LPUSH ──▶ [ newest … oldest ] ──▶ BLMPOP … RIGHT       first in, first out

An entry says which job waits; the database says whether it is still to be done. So an entry may get lost or come twice
and no harm is done: the claim decides, and the reconciler pushes again what was lost.
"""

import json
from collections import defaultdict
from collections.abc import Sequence

from redis.asyncio import Redis

from scheduler.coalescer import Coalescer
from scheduler.config import Settings
from scheduler.entry import Queueable
from scheduler.jobs import Priority
from scheduler.redis_clients import patient, quick


def queue_name(priority: Priority) -> str:
    """The Redis list of a priority: `q:critical`, `q:high`, `q:default` or `q:low`.

    Raises `ValueError` for anything else.
    """
    return f"q:{Priority(priority)}"


_to_json = json.JSONEncoder(separators=(",", ":")).encode


def encode_entry(job: Queueable) -> bytes:
    """The bytes of a job's entry, always the same for the same job, so that LREM finds them again."""
    return _to_json({"task_id": str(job.task_id), "type": job.type, "priority": str(job.priority)}).encode()


class JobQueue:
    """The queues. `redis` is for ordinary commands, `blocking` for pops that wait; their names begin with `prefix`."""

    def __init__(self, redis: "Redis", prefix: str = "") -> None:
        self.redis = redis
        self.blocking = patient(redis)
        self._prefix = prefix
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
            entries[self._prefix + queue_name(job.priority)].append(encode_entry(job))
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
    redis = Redis(**settings.redis_address(), **quick())
    try:
        await redis.ping()
    except BaseException:
        await redis.aclose()
        raise
    return JobQueue(redis, settings.redis_prefix)
