"""The lessons' `pytest` commands: red on untouched files, and green with the reference where a lesson expects green."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
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
    """The command, as short as it can be.

    Of a task's red tests, one says what has to be said. And that all tests of a chapter are red on the skeletons and
    green with the reference is proved in `tests/chapters`: what the command says of them, one test of each task shows.
    """
    if "-k" in command.text:
        return f"{command.text} --maxfail 1"
    if command.text in SAMPLE and not is_green(block, command):
        return command.text
    implementation = " --implementation reference" if is_green(block, command) else ""
    first = (_tests_of(command, task.number)[0] for task in _tasks(command))
    return f"{command.text}{implementation} -k '{' or '.join(first)}'"


def _tests_of(command: Command, task: int) -> list[str]:
    """The names of a task's tests, in their order."""
    source = next(_chapter(command).folder.glob("test_*.py")).read_text("utf-8")
    return re.findall(rf"def (test_task_{task}_\w+)", source)


def _tasks(command: Command) -> Sequence[book.Task]:
    """Those whose tests the command runs, if it does not say which by `-k`."""
    one = _chapter(command)
    if last := re.search(r"--upto (\d+)", command.text):
        return one.tasks[: int(last[1])]
    return one.tasks if "--stretch" in command.text else one.core


def _chapter(command: Command) -> book.Chapter:
    return book.chapter(re.findall(r"chapters/(\w+)", command.text)[0])


def is_read(command: Command) -> bool:
    """Whether reading is enough: it asks for one task, and the chapter's first is run in the same way."""
    return "-k task_" in command.text and "-k task_1_" not in command.text


def misread(command: Command) -> Iterator[str]:
    """A sentence for what is wrong with a command that is read."""
    [number] = re.findall(r"^pytest chapters/\w+(?: --stretch)? -k task_(\d+)_$", command.text) or [""]
    if not number:
        yield f"{command.text}: it is none of those that are known to run the tests of one task"
    elif not _tests_of(command, int(number)):
        yield f"{command.text}: there is no test of this task"


def wanted(block: Block) -> dict[str, Command]:
    """Its commands that run tests and are run here, by the text that is run."""
    return {as_run(block, one): one for one in _commands(block) if not is_read(one)}


def read(block: Block) -> list[Command]:
    """Its commands that run tests and are only read here."""
    return list(filter(is_read, _commands(block)))


def _commands(block: Block) -> list[Command]:
    return [one for one in block.commands if kind_of(one.text) is Kind.TESTS]


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
    tasks = _tasks(command)
    if one := re.search(r"-k task_(\d+)_", command.text):
        task = _chapter(command).task(int(one[1]))
        yield f"Task {task.number}: {task.name}"
        yield "Not written yet: "
    elif is_green(block, command):
        yield f"{len(tasks)} of {len(tasks)} tasks green"
    else:
        yield f"0 of {len(tasks)} tasks green"
        yield f"Task {tasks[0].number}: {tasks[0].name}\n    Not written yet"
