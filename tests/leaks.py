"""What a session leaves behind makes it red, and is named with the test that it was first seen with, if that is known.

`pytest -p tests.leaks` looks for processes, threads that hold up the end, ports that are listened on, temporary
folders, and in the servers that tests share for databases and claims of Redis indexes. What is still ending is waited
for.
"""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.patience import until_sync
from workbook import left_over

SINCE_THE_START = "before the first test"


class Leaks:
    """Lives in each process that runs tests; `found` are its sentences, and in xdist's first process everybody's."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._seen: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        self._mkdtemp = tempfile.mkdtemp
        self._there = set(self._look())

    def pytest_sessionstart(self) -> None:
        tempfile.mkdtemp = self._noted_folder

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        for one in [*_threads(), *_children(), *_ports()]:
            self._seen.setdefault(one, nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        if not session.config.pluginmanager.has_plugin("dsession"):
            self.found += self._left()
        if hasattr(session.config, "workerinput"):
            session.config.workeroutput["leaks"] = self.found
        yield
        if self.found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.found += getattr(node, "workeroutput", {}).get("leaks", [])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.found:
            terminalreporter.section("left behind", red=True)
            for sentence in self.found:
                terminalreporter.write_line(sentence)

    def _left(self) -> list[str]:
        tempfile.mkdtemp = self._mkdtemp
        with suppress(AssertionError):
            until_sync(lambda: not set(self._look()) - self._there, "nothing is left")
        return [f"{one}: {self._whose(one)}" for one in sorted(set(self._look()) - self._there)] + [
            f"{one}: taken back at the end" for one in left_over.found
        ]

    def _look(self) -> list[str]:
        folders = [f"the folder {folder}" for folder in self._folders if Path(folder).exists()]
        return [*_threads(), *_children(), *_ports(), *folders]

    def _whose(self, one: str) -> str:
        test = self._folders.get(one.removeprefix("the folder ")) or self._seen.get(one)
        return f"first seen with {test}" if test else "nobody knows since when"

    def _noted_folder(self, *arguments: Any, **options: Any) -> Any:
        folder = self._mkdtemp(*arguments, **options)
        self._folders[str(folder)] = os.environ.get("PYTEST_CURRENT_TEST") or SINCE_THE_START
        return folder


def _threads() -> list[str]:
    """A daemon holds nothing up: what a learner's code blocks for ever is one."""
    return [
        f"the thread {one.name} ({one.ident})"
        for one in threading.enumerate()
        if not one.daemon and one is not threading.main_thread() and not _is_of_a_pool(one)
    ]


def _is_of_a_pool(one: threading.Thread) -> bool:
    """Python ends those itself."""
    return getattr(getattr(one, "_target", None), "__module__", "") == "concurrent.futures.thread"


def _children() -> list[str]:
    found = []
    for pid in _child_pids():
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"the process {pid} ({' '.join(process.cmdline())[:120]})")
    return found


def _child_pids() -> list[int]:
    """Quick where the kernel keeps a list: this is asked after each test."""
    lists = list(Path("/proc/self/task").glob("*/children"))
    if not lists:
        return [one.pid for one in psutil.Process().children()]
    pids: list[int] = []
    for one in lists:
        with suppress(OSError):
            pids += map(int, one.read_text("ascii").split())
    return pids


def _ports() -> list[str]:
    with suppress(psutil.Error):
        connections = psutil.Process().net_connections("inet")
        return [f"the port {one.laddr.port}" for one in connections if one.status == psutil.CONN_LISTEN]
    return []


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Leaks(), "leaks, at work")
