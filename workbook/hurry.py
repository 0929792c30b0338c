"""Pauses that pass quickly: what the code under test waits for a clock, it waits a twentieth of the time.

A worker pauses for half a second after an error, and a test of many errors would pause with it. Only timers that the
code under test sets itself are shortened: those of Redis, of the database and of the test keep their time.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

FACTOR = 20
SHORT_SECONDS = 0.1
HOLD_SECONDS = 3_600.0
ASYNCIO = str(Path(asyncio.__file__).parent)


@contextmanager
def hurried(loop: asyncio.AbstractEventLoop, files: set[str]) -> Iterator[None]:
    """While the block runs, timers of `loop` that code in `files` sets go off early."""
    with _timers(loop, files, lambda seconds: seconds / FACTOR):
        yield


@contextmanager
def heard(loop: asyncio.AbstractEventLoop, files: set[str], hear: Callable[[float], None]) -> Iterator[None]:
    """While the block runs, `hear` is told of each timer that code in `files` sets, with its seconds."""

    def as_it_is(seconds: float) -> float:
        hear(seconds)
        return seconds

    with _timers(loop, files, as_it_is):
        yield


@contextmanager
def held(loop: asyncio.AbstractEventLoop, files: set[str]) -> Iterator[Callable[[], None]]:
    """Short timers of `loop` that code in `files` sets while the block runs wait until what this gives is called.

    So what is done in a short pause of the code under test does not depend on how quick the test is. A deadline is no
    pause: longer timers go off when they are due.
    """
    ordinary = loop.call_at
    waiting: list[tuple[asyncio.TimerHandle, Callable[[], Any]]] = []

    def call_at(when: float, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        waits = when - loop.time() <= SHORT_SECONDS and _asks(sys._getframe(1)) in files
        handle = ordinary(when + HOLD_SECONDS * waits, callback, *args, **kwargs)
        if waits:
            waiting.append((handle, partial(callback, *args)))
        return handle

    def go_off() -> None:
        for handle, callback in waiting:
            loop.call_soon(_unless_cancelled, handle, callback)
        waiting.clear()

    loop.call_at = call_at  # type: ignore[method-assign, assignment]
    try:
        yield go_off
    except BaseException:
        loop.call_soon_threadsafe(go_off)
        raise
    finally:
        loop.call_at = ordinary  # type: ignore[method-assign]


def _unless_cancelled(handle: asyncio.TimerHandle, callback: Callable[[], Any]) -> None:
    if not handle.cancelled():
        callback()


@contextmanager
def _timers(
    loop: asyncio.AbstractEventLoop, files: set[str], change: Callable[[float], float]
) -> Iterator[None]:
    ordinary = loop.call_at

    def call_at(when: float, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        if _asks(sys._getframe(1)) in files:
            now = loop.time()
            when = now + change(when - now)
        return ordinary(when, callback, *args, **kwargs)

    loop.call_at = call_at  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        loop.call_at = ordinary  # type: ignore[method-assign]


def _asks(frame: FrameType | None) -> str:
    """The file that sets a timer: the first above asyncio's own."""
    while frame is not None and frame.f_code.co_filename.startswith(ASYNCIO):
        frame = frame.f_back
    return frame.f_code.co_filename if frame else ""
