"""Many callers do one thing at once; one statement does it for all of them.

A commit costs about the same for one row as for five hundred. While one batch is on its way to the database, the
callers that come meanwhile gather for the next. A lone caller waits for nobody.

    caller ─┐                     ┌─ result
    caller ─┼─ one turn ─ batch ──┼─ result
    caller ─┘    of the loop      └─ result
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from scheduler.database import is_data_error
from scheduler.errors import LimitPassed

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class _Call(Generic[T, R]):
    item: T
    size: int
    result: asyncio.Future[R]


class Coalescer(Generic[T, R]):
    """Turns concurrent calls into batches. `run` takes a list of items and returns their results in the same order.

    A batch holds at most `max_items` items and, unless a single item is larger, `max_bytes` bytes. With
    `max_waiting` callers in line, the next one gets `LimitPassed`. If a batch fails because of its data, its halves
    run again, and theirs, so that one bad item never fails its neighbours, and costs a few statements more.
    """

    def __init__(
        self,
        run: Callable[[list[T]], Awaitable[Sequence[R]]],
        *,
        max_items: int = 500,
        max_bytes: int = 4 * 1024 * 1024,
        max_waiting: int = 10_000,
    ) -> None:
        self._run = run
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._max_waiting = max_waiting
        self._waiting: deque[_Call[T, R]] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def __call__(self, item: T, size: int = 0) -> R:
        """Do this one thing, together with whoever else asks for it now. `size` is the item's weight in bytes."""
        if len(self._waiting) >= self._max_waiting:
            raise LimitPassed(f"{self._max_waiting} calls are waiting already; call again a little later")
        call: _Call[T, R] = _Call(item, size, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._runner is None:
            # A task of its own: a caller that is cancelled must not take the others' statement with it.
            self._runner = asyncio.create_task(self._run_all())
        return await call.result

    async def _run_all(self) -> None:
        batch: list[_Call[T, R]] = []
        try:
            await asyncio.sleep(0)  # one turn of the loop: whoever calls in this turn comes along
            while batch := self._next_batch():
                await self._run_batch(batch)
        except BaseException:
            for call in [*batch, *self._waiting]:
                call.result.cancel()
            self._waiting.clear()
            raise
        finally:
            self._runner = None

    def _next_batch(self) -> list[_Call[T, R]]:
        batch: list[_Call[T, R]] = []
        room = self._max_bytes
        while self._waiting and len(batch) < self._max_items:
            call = self._waiting[0]
            if batch and call.size > room:
                break
            self._waiting.popleft()
            if not call.result.done():  # its caller was cancelled while it waited
                batch.append(call)
                room -= call.size
        return batch

    async def _run_batch(self, batch: list[_Call[T, R]]) -> None:
        try:
            results = await self._run([call.item for call in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(batch)} items went in, and {len(results)} results came out")
        except Exception as error:
            if len(batch) > 1 and is_data_error(error):
                middle = len(batch) // 2
                await self._run_batch(batch[:middle])
                await self._run_batch(batch[middle:])
                return
            for call in batch:
                if not call.result.done():
                    call.result.set_exception(error)
            return
        for call, result in zip(batch, results, strict=True):
            if not call.result.done():
                call.result.set_result(result)
