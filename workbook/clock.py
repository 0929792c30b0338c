"""A client whose clock is wrong: how a test finds out whose clock a piece uses.

Only the modules of the code under test see the wrong time, in what they have imported and in what a function of theirs
imports meanwhile: `datetime`, its `now`, `time`.
"""

import builtins
import datetime as real_datetime
import sys
import time as real_time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

from workbook.loader import Code

AHEAD = real_datetime.timedelta(hours=1)


class _Ahead(real_datetime.datetime):
    @classmethod
    def now(cls, tz: real_datetime.tzinfo | None = None) -> Any:
        return real_datetime.datetime.now(tz) + AHEAD

    @classmethod
    def utcnow(cls) -> Any:
        return real_datetime.datetime.utcnow() + AHEAD

    @classmethod
    def today(cls) -> Any:
        return real_datetime.datetime.today() + AHEAD


def _time() -> float:
    return real_time.time() + AHEAD.total_seconds()


def _time_ns() -> int:
    return real_time.time_ns() + int(AHEAD.total_seconds()) * 10**9


_CLOCKS = {"time": _time, "time_ns": _time_ns}


_INSTEAD: list[tuple[Any, Any]] = [
    (real_datetime.datetime, _Ahead),
    (real_datetime, SimpleNamespace(**{**vars(real_datetime), "datetime": _Ahead})),
    (real_time.time, _time),
    (real_time.time_ns, _time_ns),
    (real_time, SimpleNamespace(**{**vars(real_time), **_CLOCKS})),
]


@contextmanager
def an_hour_ahead(code: Code) -> Iterator[None]:
    """While the block runs, the clock that the code under test reads is an hour ahead of the database's."""
    with _sees(code, _INSTEAD):
        yield


@contextmanager
def jumps_with(code: Code, ahead: Callable[[], float]) -> Iterator[None]:
    """While the block runs, the clocks that the code under test reads are so far ahead as the loop's own."""

    def jumping(ordinary: Callable[[], float]) -> Callable[[], float]:
        return lambda: ordinary() + ahead()

    own = {name: jumping(getattr(real_time, name)) for name in ("monotonic", "perf_counter", "time")}
    instead: list[tuple[Any, Any]] = [(getattr(real_time, name), clock) for name, clock in own.items()]
    with _sees(code, [*instead, (real_time, SimpleNamespace(**{**vars(real_time), **own}))]):
        yield


@contextmanager
def _sees(code: Code, instead_of: list[tuple[Any, Any]]) -> Iterator[None]:
    changed: list[tuple[ModuleType, str, Any]] = []
    ordinary = builtins.__import__

    def imported(name: str, globals: Any = None, *args: Any, **options: Any) -> Any:
        found = ordinary(name, globals, *args, **options)
        own = globals is not None and globals.get("__file__") in code.files
        return next((instead for real, instead in instead_of if own and found is real), found)

    builtins.__import__ = imported
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) not in code.files:
            continue
        for name, value in list(vars(module).items()):
            for real, instead in instead_of:
                if value is real:
                    changed.append((module, name, value))
                    setattr(module, name, instead)
    try:
        yield
    finally:
        builtins.__import__ = ordinary
        for module, name, value in changed:
            setattr(module, name, value)
