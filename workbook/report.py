"""What a learner reads when a chapter's test is red: the first failure in full, and a line for each other red task."""

import re
import shutil
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import thread
from dataclasses import dataclass, field, fields
from itertools import groupby
from typing import Any

import pytest

from workbook.book import Task, chapter
from workbook.loader import LEARNER, LoadError
from workbook.watchdog import short

NOT_JUDGED = "NotJudged"
"""The `error` of a test that says nothing about the code under test: what it ran on is gone."""
STUB = re.compile(r"(?P<chapter>\d\d_\w+) task (?P<task>\d+): (?P<what>.*)", re.DOTALL)


@dataclass(frozen=True)
class Result:
    """What one test of a chapter gave."""

    nodeid: str
    task: Task
    passed: bool
    error: str = ""
    """The exception's type, as `NotImplementedError`."""
    message: str = ""
    """The exception's text."""
    sentence: str = ""
    """What to tell the learner."""
    lines: tuple[str, ...] = ()
    """The learner's own lines that ran last."""
    system: tuple[str, ...] = ()
    """What the system looked like."""

    @classmethod
    def of(
        cls, item: pytest.Item, outcome: pytest.TestReport, call: pytest.CallInfo[Any], task: Task
    ) -> "Result":
        """Read it from what pytest knows."""
        if outcome.passed or call.excinfo is None:
            return cls(item.nodeid, task, outcome.passed)
        error, *others = _one_by_one(call.excinfo.value)
        sentence = _sentence(error) + (f" (and {len(others)} more)" if others else "")
        lines = tuple(_own_lines(call.excinfo.value, item))
        world = world_of(item)
        stuck = world._loop.stuck if world is not None else None
        if stuck and stuck not in sentence and type(error).__name__ != "NeverAwaited":
            # Whatever the test saw came of that. Only a forgotten await comes before it: it makes loops go round.
            sentence, lines = stuck, ()
        return cls(
            nodeid=item.nodeid,
            task=task,
            passed=False,
            error=type(error).__name__,
            message=str(error),
            sentence=sentence,
            lines=lines,
            system=_system(world) if world is not None and outcome.when == "call" else (),
        )

    @property
    def not_written(self) -> bool:
        """Whether the test met a stub."""
        return self.error == "NotImplementedError" and STUB.match(self.message) is not None

    @property
    def headline(self) -> str:
        """What went wrong, in one line; empty if nothing did."""
        if self.passed:
            return ""
        return "not written yet" if self.not_written else self.sentence.strip().split("\n")[0][:300]

    def packed(self) -> dict[str, Any]:
        """Nothing but what can be sent from one process to another."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "task"}
        return {**values, "task": [self.task.chapter, self.task.number]}

    @classmethod
    def unpacked(cls, values: dict[str, Any]) -> "Result":
        """What `packed` has packed."""
        name, number = values["task"]
        lists = {key: tuple(values[key]) for key in ("lines", "system")}
        return cls(**{**values, **lists, "task": chapter(name).task(number)})

    def as_json(self) -> dict[str, Any]:
        """For `--results`."""
        return {
            "nodeid": self.nodeid,
            "chapter": self.task.chapter,
            "task": self.task.number,
            "stretch": self.task.stretch,
            "passed": self.passed,
            "error": self.error,
            "message": self.message,
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class Line:
    """A line for the terminal, and how to colour it."""

    text: str
    markup: dict[str, bool] = field(default_factory=dict)


def world_of(item: pytest.Item) -> Any:
    """The world that a test used, or None."""
    used = getattr(item, "funcargs", {})
    return used.get("world") or used.get("redis_world")


def _system(world: Any) -> tuple[str, ...]:
    """What the system looks like now, as far as it can still be asked."""
    try:
        return tuple(world.summary())
    except Exception as error:
        return (f"it does not answer: {type(error).__name__}",)


def is_forgotten(warning: str, file: str, files: set[str]) -> bool:
    """Whether a warning is Python's «coroutine … was never awaited», and the coroutine began in one of `files`.

    A coroutine that is not Python's, as gRPC's are, does not know where it began, but goes at once: it was dropped in
    `file`. One whose function was handed to a thread, where nobody awaits it, has no line of its own to begin in: only
    the code under test does that.
    """
    if "was never awaited" not in warning:
        return False
    frames = [one for one, _, _ in ORIGIN.findall(warning)] or [file]
    return frames[-1] == thread.__file__ or not files.isdisjoint(frames)


def never_awaited(warning: str, files: set[str]) -> str:
    """The sentence for Python's own «coroutine … was never awaited»; `files` are those of the code under test."""
    match = re.search(r"coroutine '([^']+)'", warning)
    what, where = f"{match[1]}(…)" if match else "a coroutine", ""
    for file, line, source in ORIGIN.findall(warning):
        if file in files:
            what, where = f"`{source.strip()}`", f" ({short(file)}:{line})"
    return f"{what} was called without await, so it never ran: it only made a coroutine{where}"


ORIGIN = re.compile(r'File "([^"]+)", line (\d+), in [^\n]*\n([^\n]*)')


def files_of(item: pytest.Item) -> set[str]:
    """The files of the code that a test is about."""
    # It has none once it is taken down, which the watch of the main thread, that asks at any time, may see.
    code: Any = (getattr(item, "funcargs", None) or {}).get("code")
    return code.files if code is not None else set()


def full(result: Result) -> str:
    """A failure in a dozen lines at most."""
    lines = [f"Task {result.task.number}: {result.task.name}", *_wrapped(result.sentence)]
    if not result.not_written:
        lines += [
            f"The system: {line}" if not i else f"            {line}" for i, line in enumerate(result.system)
        ]
    lines += [_cut(f"Your line:  {line}") for line in result.lines[-2:]]
    return "\n".join(lines)


def summary(results: Sequence[Result], implementation: str, advice: bool = True) -> Iterator[Line]:
    """What stands at the end of a run: for each chapter how far it is, and what is red.

    Without `advice`, only what is red: `workbook test` says the rest itself.
    """
    own = implementation == LEARNER
    for name, group in groupby(
        sorted(results, key=lambda one: one.task.chapter), lambda one: one.task.chapter
    ):
        yield from _chapter_summary(name, list(group), advice, own)
    if advice and own:
        from workbook import (
            screen,
            standing,
        )  # here: a run of red tests begins without the terminal's library

        told = screen.Told.GREEN if all(result.passed for result in results) else screen.Told.RED
        yield Line("")
        for text in screen.next_step(standing.now(), told):
            yield Line(screen.plain(text))


def _chapter_summary(name: str, results: list[Result], advice: bool, own: bool) -> Iterator[Line]:
    tasks = {result.task.number: result.task for result in results}
    red = {result.task.number for result in results if not result.passed}
    green = [number for number in tasks if number not in red]
    yield Line("")
    if advice:
        title = chapter(name).title
        colour = {"red": True} if red else {"green": True}
        yield Line(f"{name} · {title} · {len(green)} of {len(tasks)} tasks green", {"bold": True, **colour})
    shown = False
    for number in sorted(red):
        first = next(one for one in results if one.task.number == number and not one.passed)
        if shown:
            yield Line(_cut(f"  ✗ task {number}: {first.task.name}: {first.headline[:100]}"))
            continue
        shown = True
        for position, text in enumerate(full(first).splitlines()):
            yield Line(f"  ✗ {text}" if position == 0 else f"    {text}", {"red": position == 0})
        if advice and own:
            yield Line(f"    Again:      pytest chapters/{name} -k task_{number}_")
    if not red and own:
        yield Line("  All green.", {"green": True})


def _sentence(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, NotImplementedError) and (stub := STUB.match(text)):
        return f"Not written yet: {stub['what']}"
    constraint = getattr(getattr(error, "diag", None), "constraint_name", None)
    if constraint:
        return f"The database refused the row: {constraint.replace('_', ' ')}"
    if isinstance(error, AssertionError | LoadError | pytest.fail.Exception):
        # pytest adds the values behind the sentence that a test gives; the sentence is enough.
        return text.split("\nassert ")[0].removeprefix("AssertionError: ")
    return f"{type(error).__name__}: {text}"


def _one_by_one(error: BaseException) -> Iterator[BaseException]:
    """The error; or those of an `ExceptionGroup`, such as a `TaskGroup` raises."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _one_by_one(one)
    else:
        yield error


def _own_lines(error: BaseException, item: pytest.Item) -> Iterator[str]:
    """The lines of the code under test that the error went through, as `chapters/…/file.py:12  code`."""
    files = files_of(item)
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename in files:
            yield f"{short(frame.filename)}:{frame.lineno}  {(frame.line or '').strip()}"
    if isinstance(error, BaseExceptionGroup):
        yield from _own_lines(error.exceptions[0], item)


def _wrapped(text: str) -> list[str]:
    return [
        line
        for paragraph in text.splitlines()[:4]
        for line in textwrap.wrap(paragraph, _width() - 4, subsequent_indent="  ")[:5]
    ]


def _width() -> int:
    """How wide lines may be: as the terminal, 100 columns at most."""
    return max(40, min(100, shutil.get_terminal_size().columns))


def _cut(line: str) -> str:
    return line if len(line) <= _width() - 4 else line[: _width() - 5] + "…"
