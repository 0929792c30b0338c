"""Gathers what the tests gave: in this process, or with `pytest -n 2` in others, whose reports come here."""

from typing import Any

import pytest

from workbook.book import chapter_of, task_number
from workbook.recording import Recording
from workbook.report import Result

RESULTS = pytest.StashKey[list[Result]]()
TESTS = "workbook_tests"
"""Under this name a process of pytest-xdist sends which tests there are."""


class Gathered:
    """A plugin of pytest: `pytest_runtest_logreport` gets no configuration, so this one keeps it."""

    def __init__(self, config: pytest.Config, recording: Recording) -> None:
        self._config = config
        self._recording = recording
        self._order: dict[str, int] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a test gave."""
        values: dict[str, Any] | None = getattr(report, "workbook", None)
        result = Result.unpacked(values) if values is not None else self._crashed(report)
        if result is not None:
            self._config.stash[RESULTS].append(result)

    def _crashed(self, report: pytest.TestReport) -> Result | None:
        """The result of a test whose process is gone, or None."""
        if not report.failed or report.when in ("setup", "call", "teardown"):
            return None
        file, _, test = report.nodeid.partition("::")
        chapter, number = chapter_of(self._config.rootpath / file), task_number(test)
        if chapter is None or number is None:
            return None
        sentence = "the process of this test ended in the middle of it: does your code end it?"
        return Result(report.nodeid, chapter.task(number), False, "Ended", sentence, sentence)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._order = {nodeid: number for number, nodeid in enumerate(ids)}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._recording.know(getattr(node, "workeroutput", {}).get(TESTS, {}))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Several processes give their results in any order, and the first red one is what a learner reads."""
        if self._order:
            last = len(self._order)
            self._config.stash[RESULTS].sort(key=lambda one: self._order.get(one.nodeid, last))
        if (output := getattr(self._config, "workeroutput", None)) is not None:
            output[TESTS] = self._recording.tests
