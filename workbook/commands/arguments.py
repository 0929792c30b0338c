"""Arguments that several commands take, and what they mean."""

from typing import Annotated

import typer
from scheduler.cli.failures import Misused, Refused

from workbook.book import Chapter, Task, chapter
from workbook.commands.status import here
from workbook.standing import Standing

OfChapter = Annotated[
    str,
    typer.Argument(metavar="[CHAPTER]", help="Its number or its name: 3, or watchjob.", show_default=False),
]


def chapter_named(name: str) -> Chapter:
    """The chapter that an argument means. Raises `Misused` if there is none."""
    try:
        return chapter(name)
    except KeyError as error:
        raise Misused(str(error.args[0])) from None


def task_numbered(one: Chapter, number: str) -> Task:
    """The task that an argument means. Raises `Misused` if the chapter has no such task."""
    try:
        return one.task(int(number))
    except (ValueError, KeyError):
        last = len(one.tasks)
        raise Misused(f"chapter {one.name} has no task {number}; it has 1 to {last}") from None


def next_task(standing: Standing | None = None) -> Task:
    """The task that the learner is at. Raises `Refused` if every task is green."""
    task = (standing or here()).next
    if task is None:
        raise Refused("every task is green; name a chapter to test it again")
    return task
