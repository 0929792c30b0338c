"""`--remembered`: proofs that were green are left out as long as nothing changes that they depend on.

A test that notes what it depends on (`tests.chapters.inputs`) is remembered in `.proved` when it passes: with what it
used, and a digest of all these files, of Python and of the packages. The files are read before the run and after it, so
that who saves meanwhile is not told that the new text was proved. Only the process that the user has started writes.
"""

import json
import os
import platform
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

FILE = ".proved"
DEPENDS = "depends"
ENVIRONMENT = ("TEST_DATABASE_URL", "TEST_REDIS_URL")
PROVED = pytest.StashKey[frozenset[str]]()


class Memory:
    """What was green, and with which files."""

    def __init__(self, root: Path) -> None:
        self._file = root / FILE
        self._digests = _digests(root)
        self._root = root

    def proved(self) -> frozenset[str]:
        """The tests that need not run."""
        return frozenset(test for test, known in self._read().items() if known[1] == self._digest(known[0]))

    def update(self, green: dict[str, Any], red: Iterable[str]) -> None:
        """Remember who passed with the files that are still there, and forget who failed."""
        after = Memory(self._root)
        known = self._read()
        for test in [*green, *red]:
            known.pop(test, None)
        for test, used in green.items():
            if (digest := self._digest(used)) == after._digest(used):
                known[test] = [used, digest]
        text = json.dumps(known, indent=0, sort_keys=True)
        new = self._file.with_name(f"{FILE}-{os.getpid()}")
        new.write_text(text, "utf-8")
        new.replace(self._file)

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            known: dict[str, Any] = json.loads(self._file.read_text("utf-8"))
            return known
        return {}

    def _digest(self, used: dict[str, list[str]]) -> str:
        from tests.chapters import inputs

        with suppress(KeyError, OSError, SyntaxError):  # a chapter or an answer that is gone
            paths = sorted(path.relative_to(self._root).as_posix() for path in inputs.files(**used))
            lines = [f"{path} {self._digests[path]}" for path in paths]
            return sha256("\n".join([*_surroundings(), *lines]).encode()).hexdigest()
        return "unknown"


class Writer:
    """Notes who is green and who is red. Lives in the process that the user has started."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._green: dict[str, Any] = {}
        self._red: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        used = dict(report.user_properties).get(DEPENDS)
        if report.failed:
            self._red.add(report.nodeid)
        elif report.passed and report.when == "call" and used is not None:
            self._green[report.nodeid] = used

    def pytest_sessionfinish(self) -> None:
        if self._green or self._red:
            with suppress(OSError):  # a folder where nothing can be written is proved anew each time
                green = {test: used for test, used in self._green.items() if test not in self._red}
                self._memory.update(green, self._red)

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        if proved := len(config.stash[PROVED]):
            why = "nothing that they depend on has changed since they were green"
            terminalreporter.write_line(f"{proved} proofs are left out: {why}. make prove repeats them.")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--remembered", action="store_true", help="leave out proofs that were green with these files"
    )


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.stash[PROVED] = frozenset(config.workerinput[FILE])
        return
    memory = Memory(config.rootpath)
    config.stash[PROVED] = memory.proved() if config.option.remembered else frozenset()
    config.pluginmanager.register(Writer(memory), "what was proved")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tests side by side: all processes leave out the same."""
    node.workerinput[FILE] = sorted(node.config.stash[PROVED])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if item.nodeid in config.stash[PROVED]]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item.nodeid not in config.stash[PROVED]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    if not item.nodeid.startswith("tests/chapters/"):  # no proof; and the students' copy has no proofs
        return (yield)
    from tests.chapters import inputs

    with inputs.noting() as used:
        answer = yield
    if used.chapters and used.is_known:
        item.user_properties.append((DEPENDS, used.as_lists()))
    return answer


def _digests(root: Path) -> dict[str, str]:
    """Of every file that a proof may depend on."""
    top = [root / "pyproject.toml", root / "constraints.txt"]
    below = [
        path for name in ("workbook", "reference", "chapters", "tests") for path in (root / name).rglob("*")
    ]
    return {
        path.relative_to(root).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in [*top, *below]
        if path.is_file() and "__pycache__" not in path.parts
    }


@cache
def _surroundings() -> list[str]:
    """Python, the packages, and the servers that somebody may have named."""
    packages = sorted({f"{one.name} {one.version}" for one in metadata.distributions()})
    return [sys.version, platform.platform(), *packages, *(os.environ.get(name, "") for name in ENVIRONMENT)]
