"""An event loop in a thread of its own, for the code under test. If it stands still, the line to blame is named.

Tests are plain functions in the main thread. So a learner's `time.sleep` stops the learner's loop and not the test, and
the test can say which line it was.
"""

import asyncio
import ctypes
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any

from workbook import origin
from workbook.patience import stretched
from workbook.watchdog import Ended, Place, Watchdog, short

BLOCKED_SECONDS = 0.5


class Hang(AssertionError):
    """Something did not come in time. The message says what, and which line is to blame if that is known."""


class LoopThread:
    """Runs coroutines in a thread, and waits for them with a deadline.

    `own_files` are those of the code under test; a function, if they are not all loaded yet.
    """

    def __init__(self, own_files: set[str] | Callable[[], set[str]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._jumped = 0.0
        ordinary = self._loop.time
        # From the beginning, for code may keep the method: `clock = asyncio.get_running_loop().time`.
        self._loop.time = lambda: ordinary() + self._jumped  # type: ignore[method-assign]
        self._is_over = False
        self.unhandled: list[BaseException] = []
        """What was raised where nobody waits for it."""
        self.goes_round: Place | None = None
        """The loop of the code under test that went round without waiting, and was ended."""
        self.stuck: str | None = None
        """A sentence about the line of the code under test that held the event loop up, if one has."""
        self._loop.set_exception_handler(self._keep)
        self._thread = threading.Thread(target=self._run, name="code under test", daemon=True)
        self._thread.start()
        files = own_files if callable(own_files) else lambda: own_files
        self._watchdog = Watchdog(self._loop, self._thread, files, self._found)
        self._loop.call_soon_threadsafe(origin.remember)
        self._loop.set_default_executor(origin.threads())

    def start(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        """Begin something; `wait` waits for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, future: "Future[Any]", within: float, what: str) -> Any:
        """The result, or what was raised. Raises `Hang` at the deadline, which a slow machine moves back."""
        within = stretched(within)
        try:
            return future.result(within)
        except Ended:
            raise Hang(self.blocking_line() or f"{what} held the event loop up, and was ended") from None
        except FutureTimeout:
            if future.done():
                raise  # a TimeoutError of the code under test
            blocked = self.blocking_line()
            future.cancel()
            raise Hang(blocked or f"{what} did not end within {within:g} s") from None

    def run(self, work: Coroutine[Any, Any, Any], within: float, what: str) -> Any:
        """Run something to its end."""
        return self.wait(self.start(work), within, what)

    def jump(self, seconds: float) -> None:
        """Let the loop's own clock jump ahead, for good: a clock that goes back would hold timers up."""

        async def ahead() -> None:
            self._jumped += seconds

        self.run(ahead(), 5, "the clock of the loop")

    def jumped(self) -> float:
        """How far it has jumped so far."""
        return self._jumped

    def line(self) -> Place | None:
        """The line of the code under test that runs now; None while it waits with await."""
        return self._watchdog.line()

    def blocking_line(self) -> str | None:
        """If the loop does not answer: which line of the code under test holds it up, as a sentence."""
        if self.goes_round is None and not self._watchdog.stands_still(BLOCKED_SECONDS):
            return None
        if self.goes_round is None:
            line = self._watchdog.line()
            if line is None:
                return "the event loop stands still: something in it waits without await"
            self.stuck = (
                f"the event loop stands still: {short(line.file)}:{line.line} blocks it: {line.source}"
            )
            self._watchdog.interrupt()
        return self.stuck

    def close(self) -> None:
        """Cancel what is left, and end the thread."""
        stopped = asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop)
        with suppress(FutureTimeout, asyncio.CancelledError, Ended):
            # A blocked loop never does this; its thread is a daemon and ends with the process.
            stopped.result(stretched(3))
        self._is_over = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(stretched(3))
        if not self._thread.is_alive():
            self._watchdog.close()
            for task in asyncio.all_tasks(self._loop):
                _keep_for_ever(task)
            self._loop.close()

    def _run(self) -> None:
        while not self._is_over:
            try:
                self._loop.run_forever()
                return
            except Ended:  # it came too late, when the code under test had given way
                continue
            except (SystemExit, KeyboardInterrupt) as error:  # a task's: asyncio lets these two through
                self.unhandled.append(error)

    def _keep(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None and not isinstance(error, Ended):
            self.unhandled.append(error)

    def _found(self, place: Place) -> None:
        if self.goes_round is None:
            self.goes_round = place
            self.stuck = (
                "your loop goes round without an await that waits, so that nothing else can run, not even the test: "
                f"{place}"
            )
            self.unhandled.insert(0, Hang(self.stuck))


async def _cancel_all() -> None:
    others: list[Awaitable[Any]] = [
        task for task in asyncio.all_tasks() if task is not asyncio.current_task()
    ]
    for task in others:
        task.cancel()  # type: ignore[attr-defined]
    await asyncio.gather(*others, return_exceptions=True)


def _keep_for_ever(task: "asyncio.Task[Any]") -> None:
    """Keep from the garbage collector what a bare `except:` has kept alive: it would end it by one more exception.

    That one is caught too, and then the code goes round inside the collector, where nothing can end it.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))
