"""Runs one chapter's tests for a grade, in a process of its own, and writes down what happens while it happens.

    python -m workbook.graded_run 01_queue RESULTS [--stretch] [--test-seconds S] [--cpu-seconds S]

RESULTS gets a line of JSON for each event, so that what was done before a kill is known:

    {"collected": {"<test>": <task>, …}}
    {"started": "<test>"}
    {"finished": "<test>", "passed": true, "says": ""}
"""

import argparse
import json
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from workbook.book import chapter, task_number
from workbook.child import end_with_parent
from workbook.gathered import RESULTS

MEMORY = 4 * 2**30
FILE_SIZE = 64 * 2**20
OPEN_FILES = 4096
PLUGINS = ("pytest_asyncio.plugin", "workbook.plugin")
"""Named, for the environment switches off what else is installed."""


class Diary:
    """Writes each event at once, and ends a test that takes too long where it can."""

    def __init__(self, path: Path, test_seconds: float) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._test_seconds = test_seconds
        self._config: pytest.Config | None = None
        self._task: int | None = None
        self._hung: set[int | None] = set()

    def pytest_configure(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The easy tasks first: if the time runs out, what is lost is what comes last."""
        items.sort(key=lambda item: task_number(item.name) or 0)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._write(collected={item.nodeid: task_number(item.name) for item in session.items})

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._write(started=nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        assert self._config is not None
        results = [result for result in self._config.stash[RESULTS] if result.nodeid == nodeid]
        passed = bool(results) and all(result.passed for result in results)
        says = next((result.headline for result in results if not result.passed), "")
        self._write(finished=nodeid, passed=passed, says=says)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        self._task = task_number(item.name)
        if self._task in self._hung:
            # Each would wait as long, and take the time of the tasks that come after.
            pytest.fail("an earlier test of this task did not end")
        with self._alarm():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        with self._alarm():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        with self._alarm():
            return (yield)

    @contextmanager
    def _alarm(self) -> Generator[None, None, None]:
        # Reaches loops of Python's; code that catches everything, or sits in C, falls to the limit of the whole run.
        if sys.platform == "win32":
            yield
            return
        signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self._test_seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, *_: object) -> None:
        self._hung.add(self._task)
        pytest.fail(f"it did not end within {self._test_seconds:g} s: is there a loop without an end?")

    def _write(self, **event: Any) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()


def limit_resources(cpu_seconds: int) -> None:
    """Set what this process and its children may use, where the platform can. Limits that are lower already stay."""
    if sys.platform == "win32":
        return
    import resource

    limits = {
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: FILE_SIZE,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":  # elsewhere it counts what nobody uses
        limits[resource.RLIMIT_AS] = MEMORY
    for which, most in limits.items():
        hard = resource.getrlimit(which)[1]
        lower = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(which, (lower, lower))


def main(arguments: list[str]) -> int:
    """The process of one run. Returns pytest's exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("chapter")
    parser.add_argument("results", type=Path)
    parser.add_argument("--stretch", action="store_true")
    parser.add_argument("--test-seconds", type=float, default=20.0)
    parser.add_argument("--cpu-seconds", type=int, default=600)
    given = parser.parse_args(arguments)
    end_with_parent()
    limit_resources(given.cpu_seconds)
    options = ["-q", "-p", "no:cacheprovider"]
    for plugin in PLUGINS:
        options += ["-p", plugin]
    folder = str(chapter(given.chapter).folder)
    diary = Diary(given.results, given.test_seconds)
    return int(pytest.main([folder, *options, *["--stretch"] * given.stretch], plugins=[diary]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
