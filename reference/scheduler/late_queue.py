"""The queues of a process that started while Redis was away. It connects when it is asked to push."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from scheduler.config import Settings
from scheduler.entry import Queueable
from scheduler.redis_clients import make_sturdy, patient, quick

if TYPE_CHECKING:
    from scheduler.job_queue import JobQueue


def is_away(error: RedisError) -> bool:
    """Whether Redis may well answer later. That it refuses a password or a database number does not pass."""
    return isinstance(error, RedisConnectionError | RedisTimeoutError) and not isinstance(
        error, AuthenticationError | AuthorizationError
    )


class LateQueue:
    """A `JobQueue` that the piece `connect` could not make yet. Each push tries again, all at once share a try."""

    def __init__(self, connect: "Callable[[Settings], Awaitable[JobQueue]]", settings: Settings) -> None:
        self.redis = Redis(**settings.redis_address(), **quick())
        self.blocking = patient(self.redis)
        self._connect = connect
        self._settings = settings
        self._queue: JobQueue | None = None
        self._trying: asyncio.Task[JobQueue] | None = None

    async def push(self, job: Queueable) -> None:
        """As `JobQueue.push`. Raises redis-py's `RedisError` while Redis is away."""
        await (await self._connected()).push(job)

    async def push_many(self, jobs: Sequence[Queueable]) -> None:
        """As `JobQueue.push_many`; otherwise as `push`."""
        await (await self._connected()).push_many(jobs)

    async def close(self) -> None:
        """Close all clients."""
        if self._trying is not None:
            await asyncio.wait([self._trying])
        if self._queue is not None:
            await self._queue.close()
        await self.redis.aclose()
        await self.blocking.aclose()

    async def _connected(self) -> "JobQueue":
        if self._queue is not None:
            return self._queue
        if self._trying is None:
            self._trying = asyncio.create_task(self._try())
        return await asyncio.shield(self._trying)

    async def _try(self) -> "JobQueue":
        try:
            queue = await self._connect(self._settings)
            await make_sturdy(queue.redis, queue.blocking)
            self._queue = queue
            return queue
        finally:
            self._trying = None
