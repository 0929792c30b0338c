"""Code under test that ends the process instead of answering: it is heard, and makes its test red.

`sys.exit`, a KeyboardInterrupt that nobody pressed, `pytest.exit` and `pytest.skip` are exceptions, and what they mean
to pytest is not what they mean here. `os._exit`, a signal to oneself and their kind leave no chance to say a word, so
they are replaced by functions that note who called them and raise. An `except` around that hides nothing: what is noted
counts.
"""

import _thread
import functools
import os
import signal
import sys
import threading
import traceback
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import scheduler
from _pytest.outcomes import OutcomeException

from workbook.watchdog import short

OURS = tuple(
    f"{folder}{os.sep}"
    for folder in {
        str(Path(__file__).parent),
        str(Path(__file__).parents[1] / "tests"),
        str(Path(scheduler.__file__ or "").parent),
        str(Path(pytest.__file__).parents[1]),
    }
)
"""Who calls from here may end the process: this workbook, its tests, the scheduler, what is installed beside pytest."""
ENDS = {
    os: ("_exit", "abort", "execv", "execve"),
    signal: ("alarm", "setitimer", "raise_signal"),
    _thread: ("interrupt_main",),
}
SENDS = ("kill", "killpg")


class EndsTheRun(AssertionError):
    """The code under test would have ended the test run. The message is a sentence for the learner."""


class Refused(BaseException):
    """Raised in the place of what would have ended the process. No `except Exception` holds it."""


noted: list[str] = []
"""What was refused since somebody looked last: a sentence each."""


def take_noted() -> str | None:
    """The first sentence that was noted, and forget all of them."""
    first = noted[0] if noted else None
    noted.clear()
    return first


def guard() -> None:
    """Replace the functions that end this process, once and for good: what is registered with `atexit` counts too."""
    process = os.getpid()
    if getattr(os._exit, "of_process", None) == process:
        return
    for module, names in ENDS.items():
        for name in names:
            if hasattr(module, name):
                setattr(module, name, _refusing(getattr(module, name), module, name, process))
    for name in SENDS:
        if hasattr(os, name):
            setattr(os, name, _refusing(getattr(os, name), os, name, process, _at_us))
    sys.setrecursionlimit = _limits_recursion(sys.setrecursionlimit, process)
    _same_function("posix" if os.name == "posix" else "nt", "_exit")


MOST_RECURSION = 20_000


def _limits_recursion(original: Any, process: int) -> Any:
    """`sys.setrecursionlimit`, for code under test within bounds: below ours, not even the tests could go on."""

    @functools.wraps(original)
    def limit(most: int) -> None:
        if os.getpid() == process and not _is_ours(sys._getframe().f_back):
            most = min(max(most, sys.getrecursionlimit()), MOST_RECURSION)
        original(most)

    return limit


def _same_function(name: str, function: str) -> None:
    if module := sys.modules.get(name):
        setattr(module, function, getattr(os, function))


def _at_us(target: Any = None, signal_number: Any = 0, *_: Any) -> bool:
    """Whether a signal reaches this process, or the one that started it."""
    groups = (0, -1, -os.getpgrp(), os.getpgrp()) if hasattr(os, "getpgrp") else ()
    return signal_number != 0 and target in (os.getpid(), os.getppid(), *groups)


def _refusing(
    function: Any, module: Any, name: str, process: int, hurts: Callable[..., bool] = lambda *_: True
) -> Any:
    original = getattr(function, "__wrapped__", function)

    @functools.wraps(original)
    def refuse(*args: Any, **kwargs: Any) -> Any:
        caller = sys._getframe().f_back
        if os.getpid() != process or _is_ours(caller) or not hurts(*args, **kwargs):
            return original(*args, **kwargs)
        said = ", ".join(repr(argument) for argument in args)
        call = f"{module.__name__.lstrip('_')}.{name}({said})"
        sentence = f"{_where(caller)}{call} would end the whole process, and the tests with it: {ANSWER}"
        noted.append(sentence)
        raise Refused(sentence)

    refuse.of_process = process  # type: ignore[attr-defined]
    return refuse


ANSWER = "return, or raise an error, and leave the process to whoever runs it"


def _is_ours(caller: FrameType | None) -> bool:
    return caller is not None and caller.f_code.co_filename.startswith(OURS)


def _where(caller: FrameType | None) -> str:
    """The line of the chapters that is behind a call, for the beginning of a sentence."""
    frame = caller
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(OURS) and not name.startswith((STDLIB, "<")):
            return f"{short(name)}:{frame.f_lineno}: "
        frame = frame.f_back
    return ""


STDLIB = str(Path(threading.__file__).parent)

WORDS: "dict[type[BaseException], str]" = {
    SystemExit: "sys.exit() (a SystemExit) ends a program",
    KeyboardInterrupt: "a KeyboardInterrupt is for Ctrl-C, and nobody pressed that",
    pytest.exit.Exception: "pytest.exit() ends the test run",
    pytest.skip.Exception: "pytest.skip() leaves a test out",
    pytest.xfail.Exception: "pytest.xfail() calls a red test expected",
    unittest.SkipTest: "SkipTest leaves a test out",
}

ENDING = (SystemExit, KeyboardInterrupt, pytest.exit.Exception, unittest.SkipTest, OutcomeException, Refused)
"""What means something to Python or to pytest that code under test has no business to mean."""


def explained(error: BaseException, files: set[str]) -> BaseException:
    """The error to fail with: the same, or a sentence if code of `files` has raised one that would end the run."""
    is_failure = isinstance(error, pytest.fail.Exception) and not isinstance(error, pytest.xfail.Exception)
    if is_failure or not isinstance(error, ENDING):
        return error
    if isinstance(error, KeyboardInterrupt) and (_pressed or not _listening):
        return error
    if isinstance(error, Refused):
        return EndsTheRun(str(error)).with_traceback(error.__traceback__)
    line = next(
        (one for one in reversed(traceback.extract_tb(error.__traceback__)) if one.filename in files), None
    )
    if line is None and not isinstance(error, SystemExit | KeyboardInterrupt):
        return error  # the test's own
    what = next((words for kind, words in WORDS.items() if isinstance(error, kind)), type(error).__name__)
    where = f"{short(line.filename)}:{line.lineno}: " if line else ""
    return EndsTheRun(f"{where}{what}; no code under test may: {ANSWER}").with_traceback(error.__traceback__)


_pressed: list[int] = []
_listening: list[bool] = []


@contextmanager
def ctrl_c_is_known() -> Iterator[None]:
    """While the block runs, a Ctrl-C can be told from a KeyboardInterrupt that code raises."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _press)
    _listening.append(True)
    try:
        yield
    finally:
        _listening.pop()
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _press(number: int, frame: FrameType | None) -> None:
    _pressed.append(number)
    signal.default_int_handler(number, frame)
