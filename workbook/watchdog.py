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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from workbook import source
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


known: set[Place] = set()
"""What went round before, in this process."""


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
        self._frames = Frames(thread, own_files)
        self._found = found
        self._used = processor_clock(thread)
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
        found = self._frames.goes_round() if self._used() - before > seconds / 50 else None
        if found is not None:
            self._end(found)
        return True

    def line(self) -> Place | None:
        """The line of the code under test that runs now."""
        return self._frames.line()

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
            found = self._frames.goes_round() if busy > KNOWN_BUSY_SECONDS else None
            # What has been caught and still goes round has an `except` for everything. The next try may come at a
            # moment when that does not hold.
            if found is not None and (caught or found in known or busy > BUSY_SECONDS):
                caught = True
                self._end(found)

    def _ask(self) -> threading.Event:
        """An event that the event loop sets in its next turn."""
        turned = threading.Event()
        try:
            self._loop.call_soon_threadsafe(turned.set)
        except RuntimeError:  # the loop was closed
            self._over.set()
        return turned

    def _end(self, found: Place) -> None:
        known.add(found)
        self._found(found)
        self.interrupt()


class Frames:
    """The frames of the code under test in one thread."""

    def __init__(self, thread: threading.Thread, own_files: Callable[[], set[str]]) -> None:
        self._thread = thread
        self._own_files = own_files

    def now(self) -> dict[FrameType, int]:
        """Those that run now, the innermost first, and the line of each."""
        with _nobody_else_runs():
            return self.from_innermost(sys._current_frames().get(self._thread.ident or 0))

    def from_innermost(self, frame: FrameType | None) -> dict[FrameType, int]:
        """The same, where the thread's innermost frame is known."""
        own_files = self._own_files()
        found: dict[FrameType, int] = {}
        while frame is not None:
            if frame.f_code.co_filename in own_files:
                found[frame] = frame.f_lineno
            frame = frame.f_back
        return found

    def line(self) -> Place | None:
        """The innermost line that runs now."""
        for frame, line in self.now().items():
            return place(frame.f_code.co_filename, line)
        return None

    def goes_round(self) -> Place | None:
        """The loop that goes round: the innermost whose frame stays while others come and go."""
        samples = [self.now()]
        for _ in range(SAMPLES):
            time.sleep(0.001)
            samples.append(self.now())
        for frame in samples[0]:
            lines = [sample[frame] for sample in samples if frame in sample]
            if len(lines) == len(samples):
                return _loop_around(frame, lines)
        return None


@contextmanager
def _nobody_else_runs() -> Iterator[None]:
    """Keep the interpreter, if nobody has asked for it: to walk the frames of a running thread has once crashed."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1.0)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


LOOPS = (ast.While, ast.For, ast.AsyncFor, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _loop_around(frame: FrameType, lines: list[int]) -> Place | None:
    """The innermost loop that all these lines of a function belong to."""
    code = frame.f_code
    try:
        tree = source.tree(Path(code.co_filename))
    except (OSError, ValueError, SyntaxError):
        return None
    loops = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, LOOPS)
        and code.co_firstlineno <= node.lineno <= min(lines)
        and max(lines) <= (node.end_lineno or 0)
    ]
    return place(code.co_filename, max(loops)) if loops else None


def place(file: str, line: int) -> Place:
    return Place(file, line, linecache.getline(file, line).strip())


def processor_clock(thread: threading.Thread) -> Callable[[], float]:
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
