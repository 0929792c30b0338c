"""`-p tests.bar --part NAME`: one line that says which part of a check runs, how far it is, and how long it took last.

In a terminal the line moves, and a test that fails is named above it. Elsewhere, and in CI, a plain line comes at each
tenth. What failed is told at the end, as always. How long a part took is kept in `.took`.
"""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

FILE = ".took"
LINES = 10


class Bar:
    """Lives in the process that the user has started, not in those of xdist."""

    def __init__(self, part: str, root: Path, console: Console) -> None:
        self._part = part
        self._file = root / FILE
        self._began = time.monotonic()
        self._last = self._took().get(part)
        self._done = 0
        self._total = 0
        self._lines = 0
        self._console = console
        self._moves = console.is_terminal and not os.environ.get("CI")
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn(self._last_time()),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(f"==> {part}", total=None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        plugins = session.config.pluginmanager
        if plugins.has_plugin("terminaldistreporter"):  # xdist's own lines, about its processes
            plugins.unregister(name="terminaldistreporter")
        if self._moves:
            self._progress.start()
        else:
            self._console.print(f"==> {self._part} {self._last_time()}".rstrip())

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._expect(len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._expect(len(ids))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._console.print(f"    red: {report.nodeid}", markup=False, highlight=False, soft_wrap=True)

    def pytest_runtest_logfinish(self) -> None:
        self._done += 1
        self._progress.update(self._task, completed=self._done)
        tenth = self._done * LINES // max(self._total, 1)
        if not self._moves and tenth > self._lines:
            self._lines = tenth
            self._console.print(
                f"    {self._done} of {self._total} · {_clock(time.monotonic() - self._began)}"
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """No letter for each test."""
        if report.failed:
            return ("failed" if report.when == "call" else "error"), "", ""
        if report.skipped and not hasattr(report, "wasxfail"):
            return "skipped", "", ""
        return ("passed" if report.when == "call" else ""), "", ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if self._moves:
            self._progress.stop()
        if exitstatus == pytest.ExitCode.OK:
            took = {**self._took(), self._part: round(time.monotonic() - self._began, 1)}
            with suppress(OSError):
                self._file.write_text(json.dumps(took, indent=1), "utf-8")

    def _expect(self, number: int) -> None:
        self._total = number or self._total
        self._progress.update(self._task, total=self._total)

    def _last_time(self) -> str:
        return f"({_clock(self._last)} last time)" if self._last is not None else ""

    def _took(self) -> dict[str, float]:
        with suppress(OSError, ValueError):
            known: dict[str, float] = json.loads(self._file.read_text("utf-8"))
            return known
        return {}


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", metavar="NAME", help="show one line for all tests, under this name")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    part = config.getoption("--part")
    if part and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Bar(part, config.rootpath, Console(highlight=False)), "bar, at work")
