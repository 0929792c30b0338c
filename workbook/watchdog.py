"""Ends code that goes round without waiting, and says which loop it was.

In such a thread nothing else can run, so that no deadline within it helps: the watchdog is a thread of its own. It does
not ask how long the event loop has stood still, which on a loaded machine means nothing, but how much of the processor
the thread has used meanwhile. No right answer computes for seconds on end; a machine under load makes it no more.
"""

import ast
import asyncio
import ctypes
import linecache
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from workbook.book import ROOT

BUSY_SECONDS = 3.0
"""Of the processor, without a turn of the event loop: then something goes round for ever."""
KNOWN_BUSY_SECONDS = 0.3
"""The same for a loop that was caught before, so that the tests that meet it again do not take as long."""
LOOK_SECONDS = 0.1
SAMPLES = 20
TRIES = 200


class Ended(BaseException):
    """Raised inside the code under test to end it. No `except Exception` holds it."""


@dataclass(frozen=True)
class Place:
    """A line of the code under test."""

    file: str
    line: int
    source: str

    def __str__(self) -> str:
        return f"{short(self.file)}:{self.line}: {self.source}"


_known: set[Place] = set()


class Watchdog:
    """Watches an event loop that runs in `thread`. `found` is told which loop of the code under test goes round."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        thread: threading.Thread,
        own_files: Callable[[], set[str]],
        found: Callable[[Place], None],
    ) -> None:
        self._loop = loop
        self._thread = thread
        self._own_files = own_files
        self._found = found
        self._used = _processor_clock(thread)
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def close(self) -> None:
        """Watch no more."""
        self._over.set()

    def stands_still(self, seconds: float) -> bool:
        """Whether the event loop takes no turn for so long. If something goes round meanwhile, `found` is told."""
        turned, before = self._ask(), self._used()
        if turned.wait(seconds):
            return False
        place = self._goes_round() if self._used() - before > seconds / 5 else None
        if place is not None:
            self._end(place)
        return True

    def line(self) -> Place | None:
        """The line of the code under test that runs now."""
        for frame, line in self._own_frames().items():
            return _place(frame.f_code.co_filename, line)
        return None

    def interrupt(self) -> None:
        """Raise `Ended` in the thread, as soon as it is back from what it may wait for."""
        ident = self._thread.ident or 0
        for _ in range(TRIES):
            frame = sys._current_frames().get(ident)
            if frame is None or frame.f_code.co_filename in self._own_files():
                break  # elsewhere it might be lost: Python only prints what is raised while it clears up
            time.sleep(0.001)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Ended))

    def _watch(self) -> None:
        turned, before, caught = self._ask(), self._used(), False
        while not self._over.wait(LOOK_SECONDS) and self._thread.is_alive():
            if turned.is_set():
                turned, before, caught = self._ask(), self._used(), False
                continue
            busy = self._used() - before
            place = self._goes_round() if busy > KNOWN_BUSY_SECONDS else None
            # What has been caught and still goes round has an `except` for everything. The next try may come at a
            # moment when that does not hold.
            if place is not None and (caught or place in _known or busy > BUSY_SECONDS):
                caught = True
                self._end(place)

    def _ask(self) -> threading.Event:
        """An event that the event loop sets in its next turn."""
        turned = threading.Event()
        try:
            self._loop.call_soon_threadsafe(turned.set)
        except RuntimeError:  # the loop was closed
            self._over.set()
        return turned

    def _end(self, place: Place) -> None:
        _known.add(place)
        self._found(place)
        self.interrupt()

    def _goes_round(self) -> Place | None:
        """The loop of the code under test that goes round: the innermost whose frame stays while others come and go."""
        samples = [self._own_frames()]
        for _ in range(SAMPLES):
            time.sleep(0.001)
            samples.append(self._own_frames())
        for frame in samples[0]:
            lines = [sample[frame] for sample in samples if frame in sample]
            if len(lines) == len(samples):
                return _loop_around(frame, lines)
        return None

    def _own_frames(self) -> dict[FrameType, int]:
        """The frames of the code under test that run now, the innermost first, and the line of each."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        own_files = self._own_files()
        found: dict[FrameType, int] = {}
        while frame is not None:
            if frame.f_code.co_filename in own_files:
                found[frame] = frame.f_lineno
            frame = frame.f_back
        return found


def _loop_around(frame: FrameType, lines: list[int]) -> Place | None:
    """The innermost loop that all these lines of a function belong to."""
    code = frame.f_code
    try:
        tree = ast.parse(Path(code.co_filename).read_text("utf-8"))
    except (OSError, ValueError, SyntaxError):
        return None
    loops = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.While | ast.For | ast.AsyncFor)
        and code.co_firstlineno <= node.lineno <= min(lines)
        and max(lines) <= (node.end_lineno or 0)
    ]
    return _place(code.co_filename, max(loops)) if loops else None


def _place(file: str, line: int) -> Place:
    return Place(file, line, linecache.getline(file, line).strip())


def _processor_clock(thread: threading.Thread) -> Callable[[], float]:
    """How many seconds of the processor the thread has used; where nobody can tell, the whole process."""
    if sys.platform != "linux":
        return time.process_time
    clock = time.pthread_getcpuclockid(thread.ident or 0)

    def used() -> float:
        try:
            return time.clock_gettime(clock)
        except OSError:  # the thread has ended
            return 0.0

    return used


def short(filename: str) -> str:
    """A file's name as people know it: from the project's folder on."""
    path = Path(filename)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else filename
