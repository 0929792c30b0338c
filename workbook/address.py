"""What a learner calls a chapter or a task, for all commands: `06`, `6.9`, `06_worker`, a path, a task's name."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workbook.book import ROOT, Chapter, Task, chapter, chapter_of, chapters, task_number

NUMBERED = re.compile(r"(?P<chapter>\w+?)(?:[. ]+(?:task )?(?P<task>\d+))?(?:: .*)?")
"""`6`, `06_worker`, `6.9`, `6 9`; and, as the screens write it, `06 task 9: several jobs at once`."""
POSITION = re.compile(r"(?P<path>.*?)(?::\d+)*")
"""A path, and perhaps the line behind it, as the screens and editors write it."""


class NoPlace(ValueError):
    """Nothing in the book is called so. The message is a sentence."""


@dataclass(frozen=True)
class Place:
    """A chapter, and those of its tasks that are meant: none, if all are."""

    chapter: Chapter
    tasks: tuple[Task, ...] = ()
    file: str = ""
    """The file of the chapter, where one was named."""


def find(text: str) -> Place:
    """What is called so. Raises `NoPlace`."""
    text = text.strip()
    for place in (_by_path(text), _by_number(text), _by_name(text)):
        if place is not None:
            return place
    raise _unknown(text)


def _by_path(text: str) -> Place | None:
    name, _, test = text.partition("::")
    match = POSITION.fullmatch(name)
    name = match["path"] if match else name
    for one in chapters():
        for file in one.modules:
            path = one.folder / file
            if name in (file, f"{one.name}/{file}") or _is_same(name, path):
                return Place(one, _tasks(task for task in one.tasks if task.file == file), file)
        if ("/" in name or os.sep in name) and _is_same(name, one.folder):
            return Place(one)
    within = next((found for path in _paths(name) if path.suffix and (found := chapter_of(path))), None)
    if within is None:
        return None
    number = task_number(test)
    return Place(within, () if number is None else (_task(within, number, text),))


def _by_number(text: str) -> Place | None:
    match = NUMBERED.fullmatch(text)
    if match is None:
        return None
    try:
        one = chapter(match["chapter"])
    except KeyError:
        return None
    return Place(one, (_task(one, int(match["task"]), text),) if match["task"] else ())


def _by_name(text: str) -> Place | None:
    """A task by its own name, or tasks by the function that they are about."""
    for one in chapters():
        named = _tasks(task for task in one.tasks if text.casefold() == task.name.casefold())
        named = named or _tasks(task for task in one.tasks if text in task.entry)
        if named:
            return Place(one, named)
    return None


def _task(one: Chapter, number: int, text: str) -> Task:
    try:
        return one.task(number)
    except KeyError:
        raise _unknown(text, f"chapter {one.number} has tasks 1 to {len(one.tasks)}") from None


def _unknown(text: str, why: str = "") -> NoPlace:
    first, last = chapters()[0], chapters()[-1]
    why = why or ("the only chapter is " if first is last else "the chapters are ") + ", ".join(_names())
    return NoPlace(
        f"{text} is no chapter and no task: say {first.number}, {first.number}.1, {first.name}, a file of it, or a "
        f"task's name; {why}"
    )


def _names() -> Iterator[str]:
    return (one.name for one in chapters())


def _tasks(some: Iterable[Task]) -> tuple[Task, ...]:
    return tuple(some)


def _is_same(name: str, path: Path) -> bool:
    return path.resolve() in _paths(name)


def _paths(name: str) -> list[Path]:
    """Where a relative path may lead: from here, or from the repository's root, as the screens write it."""
    try:
        return [(folder / name).resolve() for folder in (Path.cwd(), ROOT)]
    except (OSError, ValueError, RuntimeError):  # characters, or a length, that no path has
        return []
