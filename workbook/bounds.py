"""What holds while a chapter's test runs, so that its code can't silence it: it ends, and its verdict is said.

`Bounds` has the watch of the main thread, the guard against ending the process, the bound of memory, and puts the
process back as it was. Whatever of that speaks outranks what the test itself saw.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import thread as pools
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from workbook import ending, kept, memory, report
from workbook.loop import Hang
from workbook.main_watch import MainWatch
from workbook.watchdog import Frames, short

FUNCTIONS = pytest.StashKey[kept.Functions]()


class Bounds:
    """For one session of pytest. `lost` ends the process with a sentence about this test."""

    def __init__(self, lost: Callable[[pytest.Item, str], None]) -> None:
        self._item: pytest.Item | None = None
        self._files: set[str] = set()
        self._watch = MainWatch(
            self._now, lambda sentence: lost(self._item, sentence) if self._item else None
        )

    @contextmanager
    def of(self, item: pytest.Item) -> Iterator[None]:
        """One phase of a test. Raises what the test raised, or a sentence about how its code tried to end it."""
        self._item = item
        failure: BaseException | None = None
        explained: BaseException | None = None
        with ExitStack() as stack:
            for bound in (
                ending.ctrl_c_is_known(),
                kept.process_state(),
                memory.bounded(),
                self._watch.watching(),
            ):
                stack.enter_context(bound)
            try:
                yield
            except BaseException as error:
                failure, explained = error, ending.explained(error, report.files_of(item))
        self._files |= report.files_of(item)
        noted = ending.take_noted()
        if isinstance(explained, KeyboardInterrupt):
            raise explained  # somebody pressed Ctrl-C
        if self._watch.sentence is not None:
            raise _in_place_of(failure, Hang(self._watch.sentence))
        if noted is not None:
            raise _in_place_of(failure, ending.EndsTheRun(noted))
        if explained is not None:
            raise explained

    def begin(self, item: pytest.Item) -> None:
        """Before a test is set up: what is replaced from now on is the doing of its code."""
        ending.guard()
        item.stash[FUNCTIONS] = kept.Functions()

    def end(self, item: pytest.Item) -> None:
        """After it was taken down. Raises if its code has replaced what makes the verdict."""
        functions = item.stash.get(FUNCTIONS, None)
        replaced = functions.replaced() if functions is not None else []
        if replaced:
            raise ending.EndsTheRun(
                f"your code replaced {', '.join(replaced[:3])}, on which the verdict rests: call it, or write your own"
            )

    def left_running(self) -> list[str]:
        """The lines at which threads of the code under test still run that would keep this process from ending."""
        found = []
        for thread in _hold_the_process_up():
            if place := Frames(thread, lambda: self._files).line():
                found.append(f"{short(place.file)}:{place.line}: {place.source}")
        return found

    def _now(self) -> set[str]:
        return report.files_of(self._item) if self._item is not None else set()


def _in_place_of(failure: BaseException | None, error: BaseException) -> BaseException:
    error.__cause__ = failure
    return error.with_traceback(failure.__traceback__ if failure is not None else None)


def _hold_the_process_up() -> Iterator[threading.Thread]:
    main = threading.main_thread()
    for thread in threading.enumerate():
        if thread is not main and (not thread.daemon or thread in pools._threads_queues):
            yield thread


def leave_at_the_end(code: int) -> None:
    """When Python ends this process, end it with this code, and do not wait for threads that never end."""

    def leave() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code)

    # Threads are waited for before `atexit`'s functions run; these run before that.
    register: Any = threading._register_atexit  # type: ignore[attr-defined]
    register(leave)
