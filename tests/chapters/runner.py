"""Runs a chapter's tests against some implementation, in this process, and gives what each test gave."""

import importlib.util
import io
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType

import pytest

from workbook.book import Chapter, chapters, task_number
from workbook.plugin import RESULTS
from workbook.report import Result

HERE = Path(__file__).parent


class _Collector:
    """Collects the results, and leaves out tests that could tell nothing new."""

    def __init__(self, tasks: set[int] | None, enough: set[int]) -> None:
        self.results: list[Result] = []
        self._tasks = tasks
        self._enough = enough
        self._red: set[int] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._tasks is not None:
            items[:] = [item for item in items if task_number(item.name) in self._tasks]

    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        return True if task_number(item.name) in self._red & self._enough else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and (number := task_number(report.nodeid.rpartition("::")[2])) is not None:
            self._red.add(number)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.results = session.config.stash[RESULTS]


def run(
    chapter: Chapter,
    implementation: str | Path,
    *options: str,
    test: str | None = None,
    tasks: set[int] | None = None,
    enough: Iterable[int] = (),
) -> list[Result]:
    """The results of a chapter's tests, stretch included.

    With `test`, of the one test function of this name; with `tasks`, of the tests of these tasks. Of the tasks in
    `enough`, one red test is enough: those that follow it do not run.
    """
    collector = _Collector(tasks, set(enough))
    path = next(chapter.folder.glob("test_*.py"))
    target = f"{path}::{test}" if test else str(path)
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        pytest.main(
            [
                target,
                "--implementation",
                str(implementation),
                "--stretch",
                "-q",
                "-p",
                "no:cacheprovider",
                *options,
            ],
            plugins=[collector],
        )
    assert collector.results, f"no test ran: {output.getvalue()}"
    return collector.results


def red(results: Iterable[Result]) -> list[str]:
    """The tests that failed, each with its sentence."""
    return [f"{result.nodeid}: {result.sentence}" for result in results if not result.passed]


def answers(kind: str) -> list[tuple[Chapter, Path]]:
    """Every file of `mistakes`, `alternatives` or `steps`, with its chapter."""
    return [
        (chapter, path)
        for chapter in chapters()
        for path in sorted((HERE / kind / chapter.name).glob("*.py"))
    ]


def ids(pairs: Sequence[tuple[Chapter, Path]]) -> list[str]:
    """Names for parametrized tests."""
    return [f"{chapter.name}/{path.stem}" for chapter, path in pairs]


def constants(path: Path) -> ModuleType:
    """The file as a module, for what it says of itself: TEST and SAYS, or TASKS."""
    spec = importlib.util.spec_from_file_location(f"about_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
