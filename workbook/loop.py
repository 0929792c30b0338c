"""An event loop in a thread of its own, for the code under test, and a watchdog that names the line that blocks it.

Tests are plain functions in the main thread. So a learner's `time.sleep` stops the learner's loop and not the test, and
the test can say which line it was.
"""

import asyncio
import sys
import threading
import traceback
from collections.abc import Awaitable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any

BLOCKED_SECONDS = 0.5
ORIGIN_DEPTH = 8


class Hang(AssertionError):
    """Something did not come in time. The message says what, and which line is to blame if that is known."""


class LoopThread:
    """Runs coroutines in a thread, and waits for them with a deadline."""

    def __init__(self, own_files: set[str]) -> None:
        self._own_files = own_files
        self._loop = asyncio.new_event_loop()
        self.unhandled: list[BaseException] = []
        self._loop.set_exception_handler(self._keep)
        self._thread = threading.Thread(target=self._loop.run_forever, name="code under test", daemon=True)
        self._thread.start()
        # A coroutine that is never awaited then tells where it was made: a setting of each thread.
        self._loop.call_soon_threadsafe(sys.set_coroutine_origin_tracking_depth, ORIGIN_DEPTH)

    def start(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        """Begin something; `wait` waits for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, future: "Future[Any]", within: float, what: str) -> Any:
        """The result, or what was raised. Raises `Hang` at the deadline."""
        try:
            return future.result(within)
        except FutureTimeout:
            if future.done():
                raise  # a TimeoutError of the code under test
            blocked = self.blocking_line()
            future.cancel()
            raise Hang(blocked or f"{what} did not end within {within:g} s") from None

    def run(self, work: Coroutine[Any, Any, Any], within: float, what: str) -> Any:
        """Run something to its end."""
        return self.wait(self.start(work), within, what)

    def blocking_line(self) -> str | None:
        """If the loop does not answer: which line of the code under test holds it up, as a sentence."""
        answered = threading.Event()
        self._loop.call_soon_threadsafe(answered.set)
        if answered.wait(BLOCKED_SECONDS):
            return None
        frame = sys._current_frames().get(self._thread.ident or 0)
        for entry in reversed(traceback.extract_stack(frame)):
            if entry.filename in self._own_files:
                return f"the event loop stands still: {entry.filename}:{entry.lineno} blocks it: {entry.line}"
        return "the event loop stands still: something in it waits without await"

    def close(self) -> None:
        """Cancel what is left, and end the thread."""
        stopped = asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop)
        with suppress(FutureTimeout, asyncio.CancelledError):
            stopped.result(
                3
            )  # a blocked loop never does this; its thread is a daemon and ends with the process
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(3)
        if not self._thread.is_alive():
            self._loop.close()

    def _keep(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None:
            self.unhandled.append(error)


async def _cancel_all() -> None:
    others: list[Awaitable[Any]] = [
        task for task in asyncio.all_tasks() if task is not asyncio.current_task()
    ]
    for task in others:
        task.cancel()  # type: ignore[attr-defined]
    await asyncio.gather(*others, return_exceptions=True)
