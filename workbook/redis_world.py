"""A Redis for the queue tasks of chapter 01, which need no database, and so do not wait for one to start."""

from collections.abc import Callable
from typing import Any

import redis
from redis.asyncio import Redis
from scheduler.config import Settings
from scheduler.redis_clients import quick

from workbook.loader import Code
from workbook.loop import LoopThread
from workbook.stream import WITHIN


class RedisWorld:
    """`settings` say where it is, `redis` is a plain client of it, and `run` runs a piece of the code under test."""

    def __init__(self, code: Code, settings: Settings) -> None:
        self.code = code
        self.settings = settings
        self.redis: Any = redis.Redis(**settings.redis_address())
        self._loop = LoopThread(lambda: code.files)
        self._closing: list[Any] = []

    def queue(self) -> Any:
        """The code's `JobQueue`, with a client that is connected to this Redis."""
        client = Redis(**self.settings.redis_address(), **quick())
        queue = self.code.JobQueue(client)
        self._closing.append(queue)
        return queue

    def run(self, piece: Callable[..., Any], *args: Any, within: float = WITHIN) -> Any:
        """Run a piece to its end, and return what it returns."""

        async def work() -> Any:
            answer = piece(*args)
            return await answer if hasattr(answer, "__await__") else answer

        return self._loop.run(work(), within, getattr(piece, "__name__", "it"))

    def closing(self, queue: Any) -> None:
        """Close this queue at the end of the test."""
        self._closing.append(queue)

    def entries(self, queue: str) -> list[bytes]:
        """What a list holds, the newest first."""
        return list(self.redis.lrange(queue, 0, -1))

    def keys(self) -> list[str]:
        """All keys of this Redis index."""
        return sorted(str(key, "utf-8") for key in self.redis.keys("*"))

    def summary(self) -> list[str]:
        """What Redis holds, for the report."""
        return ["Redis: " + (", ".join(self.keys()) or "no keys")]

    def check(self) -> None:
        """Raise what went wrong in the background, if anything."""
        if self._loop.unhandled:
            raise self._loop.unhandled[0]

    def close(self) -> None:
        for queue in self._closing:
            self._loop.run(queue.close(), WITHIN, "closing")
        self._loop.close()
        self.redis.close()
