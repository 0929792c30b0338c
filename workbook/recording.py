"""Keeps what a test run gave: from pytest's session to `.workbook/progress.json`."""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from workbook import depends, progress, skeletons
from workbook.book import ROOT, Chapter, chapter_of, chapters, task_number
from workbook.depends import Contents
from workbook.loader import LEARNER
from workbook.progress import Progress, Test
from workbook.report import NOT_JUDGED, Result

REACHED = "workbook_reached"
"""Under this name a report carries the files that its test reached from one process to another."""
_depth = 0
"""How many sessions run in this process. The proofs run chapters inside a session; those are nobody's progress."""


class Recording:
    """One run. Made when pytest is configured; `close` when it is not any more."""

    def __init__(self, config: pytest.Config) -> None:
        global _depth
        _depth += 1
        self._wanted = config.getoption("--implementation") in (None, LEARNER) and _depth == 1
        self._rootpath = config.rootpath
        self._before = Contents()
        self._began = time.time()
        self._reached: dict[str, list[str]] = {}
        if self._wanted:
            # Before anything is loaded: what is saved meanwhile may or may not be what the tests saw.
            for one in chapters():
                self._before.digest(one, _modules(one))
            config.pluginmanager.register(self)
        self.tests: dict[str, dict[str, int]] = {}
        """For each chapter that has been collected as a whole: its tests, and the task of each."""

    def close(self) -> None:
        """The session is over."""
        global _depth
        _depth -= 1

    def collected(self, items: Iterable[pytest.Item], config: pytest.Config) -> None:
        """Note every test that a chapter has, where all have been collected. Call it before any is left out."""
        if config.getoption("lf", False):
            return  # only what failed has been collected
        named = {_chapter_name(argument) for argument in config.args if "::" in argument}
        found: dict[str, set[object]] = {}
        tests: dict[str, dict[str, int]] = {}
        for item in items:
            chapter, number = chapter_of(item.path), task_number(item.name)
            if chapter is not None and number is not None and chapter.name not in named:
                found.setdefault(chapter.name, set()).add(item.path)
                tests.setdefault(chapter.name, {})[_test_name(item.nodeid)] = number
        self.tests = {
            one.name: tests[one.name]
            for one in chapters()
            if found.get(one.name) == set(one.folder.glob("test_*.py"))
        }

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what a test reached, as long as nothing else has run; or what another process has noted."""
        if report.when in ("setup", "call"):
            return
        chapter, number = chapter_of(self._rootpath / report.fspath), task_number(_test_name(report.nodeid))
        if chapter is not None and number is not None:
            task = chapter.task(number)
            noted: list[str] | None = getattr(report, REACHED, None)
            self._reached[report.nodeid] = noted or depends.reached(task, chapter, self._before)
            setattr(report, REACHED, self._reached[report.nodeid])

    def know(self, tests: dict[str, dict[str, int]]) -> None:
        """Add the tests that another process has collected."""
        self.tests.update(tests)

    def finished(self, results: Sequence[Result]) -> None:
        """Write it down. A file that can't be written is no reason for a test run to fail."""
        results = [result for result in results if result.error != NOT_JUDGED]
        if self._wanted and (results or self.tests):
            with suppress(OSError):
                skeletons.keep()
                progress.update(lambda known: self._add_to(known, results))

    def _is_new(self, file: str) -> bool:
        """Whether a file was saved after the run began."""
        try:
            return (ROOT / file).stat().st_mtime > self._began
        except OSError:
            return True

    def _add_to(self, known: Progress, results: Sequence[Result]) -> None:
        now = Contents()
        for chapter in chapters():
            mine = [one for one in results if one.task.chapter == chapter.name]
            self._add_chapter(known, chapter, mine, now)
        tested = {result.task.chapter for result in results}
        if len(tested) == 1:  # a run of all chapters says nothing about where the learner is
            known.at = tested.pop()
            known.red = min((result.task.number for result in results if not result.passed), default=0)

    def _add_chapter(
        self, known: Progress, chapter: Chapter, results: Sequence[Result], now: Contents
    ) -> None:
        record = known.chapter(chapter.name)
        if chapter.name in self.tests:
            record.all = self.tests[chapter.name]
            record.all_digest = progress.tests_digest(chapter)
            record.tests = {name: test for name, test in record.tests.items() if name in record.all}
        failed: set[str] = set()
        for result in results:
            name = _test_name(result.nodeid)
            files = self._reached.get(result.nodeid)
            if files is None:
                continue
            digest = self._before.digest(chapter, files)
            late = set(files) - set(_modules(chapter))  # read only when they had been loaded
            if digest != now.digest(chapter, files) or any(map(self._is_new, late)):
                continue
            if name not in failed:  # a test whose teardown fails has passed before
                record.tests[name] = Test(result.task.number, result.passed, digest, files, result.headline)
            if not result.passed:
                failed.add(name)


def _modules(chapter: Chapter) -> list[str]:
    """The files that the learner edits."""
    return [(chapter.folder / file).relative_to(ROOT).as_posix() for file in chapter.modules]


def _test_name(nodeid: str) -> str:
    return nodeid.partition("::")[2]


def _chapter_name(argument: str) -> str:
    chapter = chapter_of(Path(argument.partition("::")[0]))
    return chapter.name if chapter else ""
