"""The process as it was before code under test ran in it: what that has changed is put back.

Else a `logging.disable` at the top of a file, a `chdir` or a replaced `pytest.fail` would decide what later tests see.
"""

import asyncio
import builtins
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

SIGNALS = tuple(signal.valid_signals()) if hasattr(signal, "valid_signals") else ()


@contextmanager
def process_state() -> Iterator[None]:
    """Put back what the block changes of the process, as far as others depend on it."""
    back = [take() for take in TAKES]
    streams = [sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__]
    kept_open = [stream for stream in streams if _keep_open(stream)]
    try:
        yield
    finally:
        for put in back:
            with suppress(Exception):
                put()
        for stream in kept_open:
            vars(stream).pop("close", None)


def _keep_open(stream: Any) -> bool:
    """Let nobody close the stream, from now on. False if that holds already, or can't be done."""
    try:
        if "close" in vars(stream):
            return False
        stream.close = lambda: None
    except (TypeError, AttributeError):
        return False
    return True


@contextmanager
def environment(additions_stay: bool = False) -> Iterator[None]:
    """Put back the environment after the block. With `additions_stay`, what is new in it stays."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            if not additions_stay:
                del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


def _recursion() -> Callable[[], object]:
    limit = sys.getrecursionlimit()
    return lambda: sys.setrecursionlimit(limit)


def _switches() -> Callable[[], object]:
    interval = sys.getswitchinterval()
    return lambda: sys.setswitchinterval(interval)


def _logging() -> Callable[[], object]:
    manager, root = logging.root.manager, logging.root
    disabled, level, raising = manager.disable, root.level, logging.raiseExceptions

    def put() -> None:
        logging.disable(disabled)
        if root.level != level:
            root.setLevel(level)
        logging.raiseExceptions = raising

    return put


def _warnings() -> Callable[[], object]:
    filters = list(warnings.filters)

    def put() -> None:
        if list(warnings.filters) != filters:
            warnings.filters[:] = filters  # type: ignore[index]
            warnings._filters_mutated()  # type: ignore[attr-defined]

    return put


def _folder() -> Callable[[], object]:
    here = os.getcwd()
    return lambda: os.chdir(here)


def _policy() -> Callable[[], object]:
    # By its place, for newer Pythons warn of whoever asks for it.
    policy = getattr(asyncio.events, "_event_loop_policy", None)
    return lambda: setattr(asyncio.events, "_event_loop_policy", policy)


def _collector() -> Callable[[], object]:
    enabled = gc.isenabled()
    return lambda: gc.enable() if enabled else gc.disable()


def _tracing() -> Callable[[], object]:
    trace, profile = sys.gettrace(), sys.getprofile()

    def put() -> None:
        if sys.gettrace() is not trace:
            sys.settrace(trace)
        if sys.getprofile() is not profile:
            sys.setprofile(profile)

    return put


def _hooks() -> Callable[[], object]:
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook

    def put() -> None:
        sys.excepthook, sys.unraisablehook, threading.excepthook = hooks

    return put


def _sockets() -> Callable[[], object]:
    seconds = socket.getdefaulttimeout()
    return lambda: socket.setdefaulttimeout(seconds)


def _descriptors() -> Callable[[], object]:
    copies = {}
    for number in (1, 2):
        with suppress(OSError):
            copies[number] = os.dup(number)

    def put() -> None:
        for number, copy in copies.items():
            try:
                os.fstat(number)
            except OSError:
                os.dup2(copy, number)
            os.close(copy)

    return put


def _signals() -> Callable[[], object]:
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    handlers = {number: signal.getsignal(number) for number in SIGNALS}

    def put() -> None:
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    return put


TAKES = (
    _recursion,
    _switches,
    _logging,
    _warnings,
    _folder,
    _policy,
    _collector,
    _tracing,
    _hooks,
    _sockets,
    _descriptors,
    _signals,
)

FOUNDATIONS = (builtins, os, time, asyncio, logging)
MAKES_THE_VERDICT = ("pytest", "workbook", "scheduler")


class Functions:
    """The functions by which the verdict is made, as they are now: `replaced` says which are others since."""

    def __init__(self) -> None:
        self._were = [
            (module, name, value)
            for module in _modules()
            for name, value in list(vars(module).items())
            if callable(value) and not name.startswith("__")
        ]

    def replaced(self) -> list[str]:
        """The names of those that are others now. They are put back."""
        found = []
        for module, name, value in self._were:
            now = vars(module).get(name)
            if now is not value:
                found.append(f"{module.__name__}.{name}")
                setattr(module, name, value)
        return found


def _modules() -> Iterator[ModuleType]:
    yield from FOUNDATIONS
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in MAKES_THE_VERDICT and isinstance(module, ModuleType):
            yield module
