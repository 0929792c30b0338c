"""Waits of the main thread are ended by a signal even if it does not wake the thread: other waits lose such a one."""

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from scheduler.cli import waiting

from tests.patience import end, until_sync

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals a single thread")


@contextmanager
def ctrl_c_elsewhere() -> Iterator[None]:
    """Once the main thread waits, a SIGINT comes that another thread gets: as if it had come just before the wait."""

    def waits() -> bool:
        frame: Any = sys._current_frames()[threading.main_thread().ident or 0]
        names = []
        while frame is not None:
            names.append(frame.f_code.co_filename)
            frame = frame.f_back
        return waiting.__file__ in names and names[0] != waiting.__file__

    def send() -> None:
        until_sync(waits, "the main thread waits")
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    thread = threading.Thread(target=send)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)


def test_for_the_next_of_a_queue() -> None:
    with ctrl_c_elsewhere(), pytest.raises(KeyboardInterrupt):
        waiting.next_of(queue.Queue[int]())


def test_for_the_end_of_a_process() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with ctrl_c_elsewhere(), pytest.raises(KeyboardInterrupt):
            waiting.end_of(process)
    finally:
        end(process)


@pytest.mark.parametrize("make", [queue.Queue, queue.SimpleQueue])
def test_what_comes_is_given_at_once(make: Callable[[], Any]) -> None:
    events = make()
    events.put(1)
    assert waiting.next_of(events) == 1
