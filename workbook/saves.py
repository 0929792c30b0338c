"""Saves of the chapters' files, as they happen; and signals that stop a watch."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from watchfiles import Change, watch

from workbook import book

DEBOUNCE_MS = 100
"""Editors write a file in several steps: this is how long nothing must change before a save counts."""


@contextmanager
def saves(folder: Path, saved: Callable[[Path], None]) -> Iterator[None]:
    """Call `saved`, in a thread, with each file of a chapter below `folder` that is saved while the block runs."""
    stop = Event()
    thread = Thread(target=_watch, args=[folder, saved, stop], name="saves", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(3)


def _watch(folder: Path, saved: Callable[[Path], None], stop: Event) -> None:
    for changes in watch(
        folder,
        watch_filter=is_of_a_chapter,
        debounce=10 * DEBOUNCE_MS,
        step=DEBOUNCE_MS,
        rust_timeout=500,
        stop_event=stop,
    ):
        saved(min(Path(path) for _, path in changes))


def is_of_a_chapter(_change: Change, path: str) -> bool:
    """Whether a path is one of the files that results depend on, and not an editor's own."""
    changed = Path(path)
    chapter = book.chapter_of(changed)
    if chapter is None or changed.parent != chapter.folder or not changed.exists():
        return False
    return changed.name in chapter.modules or changed.match("test_*.py")


@contextmanager
def signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at Ctrl-C, and where a terminal is closed or `kill` asks. A second one raises KeyboardInterrupt.

    The first does not raise: a signal may come while Python is in a finalizer, of a process that has just ended say,
    and what is raised there is lost.
    """
    came = False

    def handle(*_: Any) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True
        stop()

    names = ["SIGINT", "SIGTERM"] if sys.platform == "win32" else ["SIGINT", "SIGTERM", "SIGHUP"]
    numbers = [getattr(signal, name) for name in names]
    # A shell that starts a job in the background lets it ignore Ctrl-C: that stays so.
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
