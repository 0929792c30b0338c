"""Work that would hold the event loop up, done beside it: the reading and checking of large requests."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

LARGE = 64 * 1024
"""Bytes from which on reading a request takes longer than handing it to a thread."""


class Beside:
    """One thread. What is large waits for its turn in it: however many come, the loop shares its core with one."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._turn = asyncio.Lock()

    async def run(self, size: int, work: Callable[..., T], *arguments: object) -> T:
        """Do `work(*arguments)`, which concerns `size` bytes: at once if they are few, else in the thread.

        A caller that is cancelled leaves when the thread is done with its bytes, and not before: they count till then.
        """
        if size < LARGE:
            return work(*arguments)
        async with self._turn:
            done = asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
            try:
                return await asyncio.shield(done)
            except asyncio.CancelledError:
                await asyncio.wait([done])
                raise

    def close(self) -> None:
        """End the thread, when it has done what it does."""
        self._thread.shutdown(wait=False)
