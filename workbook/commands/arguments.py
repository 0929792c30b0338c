"""Arguments that several commands take, and what they mean."""

from typing import Annotated

import typer
from scheduler.cli.failures import Misused, Refused

from workbook import address
from workbook.address import Place
from workbook.book import Chapter, Task, chapter
from workbook.commands.status import here
from workbook.standing import Standing, State

Where = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="WHERE", help="A chapter or a task: 6, 6.9, worker, a file, a name.", show_default=False
    ),
]
"""The same words for every command; more than one of them are one place: `6 9`, or a task's name without quotes."""


def place(where: list[str]) -> Place:
    """What the words mean. Raises `Misused` if nothing is called so, and `Refused` if there are no chapters."""
    here()
    try:
        return address.find(" ".join(where))
    except address.NoPlace as error:
        raise Misused(str(error)) from None


def chapter_of(where: list[str]) -> Chapter:
    """The chapter that the words mean, or are within. Raises as `place`."""
    return place(where).chapter


def task_at(where: list[str]) -> Task:
    """The task that the words mean: the first of them that is not green; your next task, if there are no words."""
    if not where:
        return next_task()
    standing = here()
    found = place(where)
    tasks = found.tasks or found.chapter.tasks
    at = standing.next
    if at in tasks:
        return at
    return next((task for task in tasks if standing.state(task) is not State.GREEN), tasks[0])


def next_task(standing: Standing | None = None) -> Task:
    """The task that the learner is at. Raises `Refused` if every task is green."""
    task = (standing or here()).next
    if task is None:
        raise Refused("every task is green; name a chapter or a task, as in 6 or 6.9")
    return task


def chapter_of_task(task: Task) -> Chapter:
    """The chapter that a task belongs to."""
    return chapter(task.chapter)
