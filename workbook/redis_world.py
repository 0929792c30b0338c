"""A Redis for the queue tasks of chapter 01, which need no database, and so do not wait for one to start."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
from redis.asyncio import Redis
from scheduler.config import Settings
from scheduler.redis_clients import quick

from workbook.loader import Code, LoadError
from workbook.loop import LoopThread
from workbook.stream import WITHIN

T = TypeVar("T")


class RedisWorld:
    """`settings` say where it is, `redis` is a plain client of it, and `run` runs a piece of the code under test."""

    def __init__(self, code: Code, settings: Settings) -> None:
        self.code = code
        self.settings = settings
        self.redis: Any = redis.Redis(**settings.redis_address())
        self._loop = LoopThread(lambda: code.files)
        self._closing: list[Any] = []

    def queue(self, settings: Settings | None = None, **options: Any) -> Any:
        """The code's `JobQueue`, with a client for this Redis, or for the one of other settings."""
        client = Redis(**(settings or self.settings).redis_address(), **{**quick(), **options})
        queue = self.code.JobQueue(client)
        self._closing.append(queue)
        return queue

    def closes(self, queue: Any) -> None:
        """Close a queue now."""
        self._closing.remove(queue)
        self._loop.run(queue.close(), WITHIN, "closing")

    def run(self, piece: Callable[..., Any], *args: Any, within: float = WITHIN) -> Any:
        """Run a piece to its end, and return what it returns."""
        return self._loop.run(_awaited(piece, args), within, getattr(piece, "__name__", "it"))

    def run_and_look(self, piece: Callable[..., Any], argument: Any, look: Callable[[], T]) -> T:
        """Run a piece, and look when it returns, before its loop goes on: what it left for later is not there yet."""

        async def both() -> T:
            await _awaited(piece, (argument,))
            return look()

        found: T = self._loop.run(both(), WITHIN, getattr(piece, "__name__", "it"))
        return found

    def run_together(self, calls: Sequence[tuple[Callable[..., Any], Any]]) -> None:
        """Run several pieces at the same time, each with its argument, to their ends."""

        async def all_of_them() -> None:
            await asyncio.gather(*(_awaited(piece, (argument,)) for piece, argument in calls))

        self._loop.run(all_of_them(), WITHIN, "several at the same time")

    def ends_together(
        self, calls: Sequence[tuple[Callable[..., Any], Any]], cancelled: int | None = None, turns: int = 0
    ) -> list[BaseException | None]:
        """Run several pieces at the same time, and tell what each raised.

        The one with the number `cancelled` is cancelled when the loop has gone round so many times.
        """

        async def all_of_them() -> list[BaseException | None]:
            before = asyncio.all_tasks()
            running = [asyncio.ensure_future(_awaited(piece, (argument,))) for piece, argument in calls]
            if cancelled is not None:
                for _ in range(turns):
                    await asyncio.sleep(0)
                running[cancelled].cancel()
            ends = await asyncio.gather(*running, return_exceptions=True)
            if rest := asyncio.all_tasks() - before:  # what the cancelled one has left for later
                await asyncio.wait(rest, timeout=0.1)
            return [end if isinstance(end, BaseException) else None for end in ends]

        found: list[BaseException | None] = self._loop.run(
            all_of_them(),
            WITHIN,
            "several at the same time" + ", one of them cancelled," * (cancelled is not None),
        )
        return found

    def turns_while(self, piece: Callable[..., Any], *args: Any) -> tuple[int, BaseException | None]:
        """Run a piece to its end. How often a timer of the same loop went off meanwhile, and what the piece raised."""
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.01)
                turns += 1

        async def both() -> BaseException | None:
            counting = asyncio.create_task(count())
            await asyncio.sleep(0)
            try:
                await _awaited(piece, args)
            except Exception as error:
                return error
            finally:
                counting.cancel()
            return None

        raised = self._loop.run(both(), WITHIN, getattr(piece, "__name__", "it"))
        return turns, raised

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


async def _awaited(piece: Callable[..., Any], args: Sequence[Any]) -> Any:
    answer = piece(*args)
    return await answer if hasattr(answer, "__await__") else answer


QUEUE = ("push", "push_many", "close", "redis", "blocking")
"""What the skeleton's `JobQueue` has."""


def is_queue(value: Any, code: Code) -> bool:
    """Whether this is a `JobQueue`: the code's own, or one of another layer, which is one by what it has."""
    try:
        return isinstance(value, code.JobQueue) or all(hasattr(value, name) for name in QUEUE)
    except (NotImplementedError, LoadError):
        raise
    except Exception:  # an answer may be anything
        return False


@contextmanager
def before_each_command(redis: Any, happens: Callable[[], None]) -> Iterator[None]:
    """While the block runs, call this before each command of an asyncio client; what it raises, the command raises."""
    pool = redis.connection_pool
    ordinary = pool.get_connection

    async def watched(*args: Any, **kwargs: Any) -> Any:
        happens()
        return await ordinary(*args, **kwargs)

    pool.get_connection = watched
    try:
        yield
    finally:
        pool.get_connection = ordinary


@contextmanager
def after_each_command(redis: Any, happens: Callable[[], None]) -> Iterator[None]:
    """While the block runs, call this when a command of an asyncio client is answered, before its caller goes on."""
    pool = redis.connection_pool
    ordinary = pool.release

    async def watched(*args: Any, **kwargs: Any) -> Any:
        happens()
        return await ordinary(*args, **kwargs)

    pool.release = watched
    try:
        yield
    finally:
        pool.release = ordinary
