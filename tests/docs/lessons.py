"""The lessons' `pytest` commands: red on untouched files, and green with the reference where a lesson expects green."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from tests.docs.kinds import Kind, kind_of
from tests.docs.pages import Block, Command
from tests.docs.terminal import Result
from tests.patience import SECONDS
from workbook import book

GREEN_BELOW = ("The core is done", "Stretch", "The half-way stop")
SESSIONS = Path(__file__).with_name("sessions.py")
SAMPLE = ("pytest chapters/01_queue", "pytest chapters/02_getjob -k task_1_ --maxfail 1")
"""One that runs a whole chapter, and one of a task."""
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


def is_a_sample(text: str) -> bool:
    """Whether the command is run as it stands, as a process of its own."""
    return text in SAMPLE


class Runs:
    """Runs commands beside each other, each once, however often the lessons name it.

    Most of what such a command costs is the start of Python and pytest, and most of them only say what is not written
    yet. So one process runs all that are no sample, as sessions one after the other.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, {**environment, "PYTEST_ADDOPTS": WITHOUT_PLUGINS}
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._known: dict[str, Future[Result]] = {}
        self._sessions: Sessions | None = None
        self._turn = Lock()

    def begin(self, text: str) -> Future[Result]:
        if text not in self._known:
            self._known[text] = self._pool.submit(self._run if is_a_sample(text) else self._run_in_turn, text)
        return self._known[text]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        if self._sessions is not None:
            self._sessions.close()

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

    def _run_in_turn(self, text: str) -> Result:
        with self._turn:
            if self._sessions is None:
                self._sessions = Sessions(self._folder, self._environment)
            return self._sessions.run(text)


class Sessions:
    """One process that runs one command after the other."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, SESSIONS],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def run(self, text: str) -> Result:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        program, *arguments = shlex.split(text)
        assert program == "pytest"
        print(json.dumps(arguments), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, f"the process ended with {self._process.wait()}: {text}"
        code, said = json.loads(answer)
        return Result(Command(0, text), code, said)

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


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
