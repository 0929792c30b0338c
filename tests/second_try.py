"""What fails runs once more, alone, and leaves a trace if it passes then: `pytest -p tests.second_try`.

A test that passes only at its second try is a fault of the test, or of the product, that nobody has seen yet. It is
named at the end of the run, and in the file `.flakes` with the time and what it said. One in a run is let through; more
make it red. A run may be several of pytest's: those with the same TEST_RUN in the environment, which `make` sets.
"""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

FILE = ".flakes"
MOST_FLAKES = 1
MOST_TRIES = 5
"""If more than this has failed, it is no flake, and the reader need not wait."""


class SecondTry:
    """Lives in the process that the user has started, not in those of xdist."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._run = os.environ.get("TEST_RUN") or f"{datetime.now():%Y-%m-%dT%H:%M:%S}"
        self._failed: dict[str, str] = {}
        self._flaky: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.setdefault(report.nodeid, _gist(report))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus != pytest.ExitCode.TESTS_FAILED or not 0 < len(self._failed) <= MOST_TRIES:
            return
        reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        for test in self._failed:
            reporter.write_line(f"\nonce more, alone: {test}")
            done = self._try(test)
            if done.returncode == 0:
                self._flaky.append(test)
            else:
                reporter.write_line(done.stdout)
        if self._flaky:
            self._note()
        if len(self._flaky) == len(self._failed) and len(self._noted()) <= MOST_FLAKES:
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._flaky:
            terminalreporter.section("passed only at the second try", red=True)
            for test in self._flaky:
                terminalreporter.write_line(f"{test}\n    {self._failed[test]}")
            number = len(self._noted())
            verdict = "that is let through" if number <= MOST_FLAKES else "the run is red"
            terminalreporter.write_line(f"{number} in this run: {verdict}. All of them are in {FILE}.")

    def _try(self, test: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test],
            cwd=self._root,
            env=kept,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )

    def _note(self) -> None:
        with (self._root / FILE).open("a", encoding="utf-8") as file:
            file.writelines(f"{self._run}  {test}  {self._failed[test]}\n" for test in self._flaky)

    def _noted(self) -> list[str]:
        """What is in the file of this run, of its other parts too."""
        lines = (self._root / FILE).read_text("utf-8").splitlines() if (self._root / FILE).exists() else []
        return [line for line in lines if line.startswith(f"{self._run}  ")]


def _gist(report: pytest.TestReport) -> str:
    """The first line of what went wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    return " ".join(text.strip().splitlines()[:1])[:200]


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SecondTry(config.rootpath), "second try, at work")
