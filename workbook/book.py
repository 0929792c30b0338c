"""The book: its chapters and their tasks, read from `chapters/NN_name/chapter.toml`."""

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(os.environ.get("WORKBOOK_ROOT") or Path(__file__).parent.parent).resolve()
"""The repository: the one that this file is in, unless WORKBOOK_ROOT names another (a copy for tests, say)."""
CHAPTERS = ROOT / "chapters"
TEST_NAME = re.compile(r"test_task_(\d+)_")


@dataclass(frozen=True)
class Task:
    """One task: what it asks for, where its code goes, and how long it takes about."""

    chapter: str
    number: int
    name: str
    file: str
    entry: tuple[str, ...]
    """What tests call: names in `file`, a method as `JobQueue.push`. Several tasks may share one."""
    minutes: int
    stretch: bool

    @property
    def address(self) -> str:
        """How a stub names it: `03_watchjob task 2`."""
        return f"{self.chapter} task {self.number}"

    @property
    def brief(self) -> str:
        """How a command is told of it: `03.2`."""
        return f"{self.chapter.partition('_')[0]}.{self.number}"


@dataclass(frozen=True)
class Chapter:
    """One folder of `chapters/`."""

    name: str
    title: str
    tasks: tuple[Task, ...]
    modules: dict[str, str]
    """Where the reference keeps what this chapter teaches: `job_queue.py` → `scheduler.job_queue`."""

    @property
    def folder(self) -> Path:
        return CHAPTERS / self.name

    @property
    def number(self) -> str:
        return self.name.partition("_")[0]

    @property
    def core(self) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if not task.stretch)

    def task(self, number: int) -> Task:
        """The task of this number. Raises `KeyError` if there is none."""
        for task in self.tasks:
            if task.number == number:
                return task
        raise KeyError(f"chapter {self.name} has no task {number}")

    def entries(self, last: int | None = None) -> Iterator[tuple[str, str]]:
        """Each (file, entry point) of the tasks up to number `last`, once."""
        pairs = (
            (task.file, entry)
            for task in self.tasks
            if last is None or task.number <= last
            for entry in task.entry
        )
        yield from dict.fromkeys(pairs)


@cache
def chapters() -> tuple[Chapter, ...]:
    """All chapters, in order."""
    return tuple(read(path) for path in sorted(CHAPTERS.glob("[0-9][0-9]_*/chapter.toml")))


def chapter(name: str) -> Chapter:
    """The chapter of this name, of its number, or of the end of its name: `03_watchjob`, `3`, `watchjob`.

    Raises `KeyError` if there is none.
    """
    for one in chapters():
        if name in (one.name, one.number, one.number.lstrip("0"), one.name.partition("_")[2]):
            return one
    raise KeyError(f"there is no chapter {name!r}; there are {', '.join(one.name for one in chapters())}")


@cache
def chapter_of(path: Path) -> Chapter | None:
    """The chapter that a file belongs to, or None."""
    parents = path.resolve().parents
    return next((one for one in chapters() if one.folder in parents), None)


def task_number(test: str) -> int | None:
    """The task that a test is about, by its name: 3 for `test_task_3_sends_nothing`; None if it names none."""
    match = TEST_NAME.match(test)
    return int(match[1]) if match else None


def read(path: Path) -> Chapter:
    """The chapter that a `chapter.toml` describes."""
    data = tomllib.loads(path.read_text("utf-8"))
    name = path.parent.name
    tasks = tuple(
        Task(
            chapter=name,
            number=number,
            name=task["name"],
            file=task["file"],
            entry=tuple(task["entry"]),
            minutes=task["minutes"],
            stretch=task.get("stretch", False),
        )
        for number, task in enumerate(data["task"], 1)
    )
    return Chapter(name=name, title=data["title"], tasks=tasks, modules=data["modules"])
