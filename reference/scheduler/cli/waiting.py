"""Waits of the main thread that lose no signal.

A signal's handler runs in the main thread, between two of Python's instructions. A signal that comes after Python has
looked for one, and before the thread waits in the kernel, does not end that wait: if it has no end of its own, Ctrl-C
is lost until something else happens. On Windows it always is. So these waits look up now and then.
"""

import queue
import subprocess
from typing import Any, TypeVar

T = TypeVar("T")

LOOK_SECONDS = 0.5


def next_of(events: "queue.Queue[T] | queue.SimpleQueue[T]") -> T:
    """The next thing in a queue, however long it takes. What a signal's handler raises goes through."""
    while True:
        try:
            return events.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            continue


def end_of(process: "subprocess.Popen[Any]") -> int:
    """The exit code of a process, however long it runs. What a signal's handler raises goes through."""
    while True:
        try:
            return process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
