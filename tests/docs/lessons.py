"""The lessons' `pytest` commands: red on untouched files, and green with the reference where a lesson expects green."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests.docs.kinds import Kind, kind_of
from tests.docs.pages import Block, Command
from tests.docs.terminal import Result
from tests.patience import SECONDS
from workbook import book

GREEN_BELOW = ("The core is done", "Stretch", "The half-way stop")
AT_ONCE = 2
WITHOUT_PLUGINS = "-pno:anyio -pno:valkey -pno:platformdirs -pno:xdist -pno:timeout -pno:cacheprovider"
"""A learner has not installed most of them, and each run is quicker without."""


def is_green(block: Block, command: Command) -> bool:
    """Whether the lesson expects green: after the last task of the core or the stretch, that is."""
    return block.heading in GREEN_BELOW and "-k" not in command.text


def as_run(block: Block, command: Command) -> str:
    """The command, green or as short as it can be: of a task's red tests, one says what has to be said."""
    if is_green(block, command):
        return f"{command.text} --implementation reference"
    return f"{command.text} --maxfail 1" if " -k " in command.text else command.text


def wanted(block: Block) -> dict[str, Command]:
    """Its commands that run tests, by the text that is run."""
    return {as_run(block, one): one for one in block.commands if kind_of(one.text) is Kind.TESTS}


class Runs:
    """Runs commands beside each other, each once, however often the lessons name it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, {**environment, "PYTEST_ADDOPTS": WITHOUT_PLUGINS}
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._known: dict[str, Future[Result]] = {}

    def begin(self, text: str) -> Future[Result]:
        if text not in self._known:
            self._known[text] = self._pool.submit(self._run, text)
        return self._known[text]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _run(self, text: str) -> Result:
        done = subprocess.run(
            shlex.split(text),
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=2 * SECONDS,
            check=False,
        )
        return Result(Command(0, text), done.returncode, done.stdout.decode("utf-8", "replace"))


def disagreements(block: Block, command: Command, result: Result) -> Iterator[str]:
    """A sentence for each thing that a lesson promises of its command and that is not so."""
    found = list(_disagreements(block, command, result))
    if found:
        yield f"{block.page}:{command.line}: {command.text}: {'; '.join(found)}\n{result.text}"


def _disagreements(block: Block, command: Command, result: Result) -> Iterator[str]:
    green = is_green(block, command)
    if result.code != (0 if green else 1):
        yield f"it ended with exit code {result.code}, and should be {'green' if green else 'red'}"
    if not green and re.search(r"\d+ passed", result.text):
        yield "everything should be red"
    for words in _promised(block, command):
        if words not in result.text:
            yield f"it does not say {words!r}"


def _promised(block: Block, command: Command) -> Iterator[str]:
    name = re.findall(r"chapters/(\w+)", command.text)[0]
    tasks = book.chapter(name).tasks
    last = re.search(r"--upto (\d+)", command.text)
    if last:
        tasks = tasks[: int(last[1])]
    elif "--stretch" not in command.text:
        tasks = book.chapter(name).core
    if one := re.search(r"-k task_(\d+)_", command.text):
        task = book.chapter(name).task(int(one[1]))
        yield f"Task {task.number}: {task.name}"
        yield "Not written yet: "
    elif is_green(block, command):
        yield f"{len(tasks)} of {len(tasks)} tasks green"
    else:
        yield f"0 of {len(tasks)} tasks green"
        yield f"Task {tasks[0].number}: {tasks[0].name}\n    Not written yet"
