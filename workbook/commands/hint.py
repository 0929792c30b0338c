"""`workbook hint`: help with a task, one level deeper each time."""

from contextlib import suppress
from typing import Annotated

import typer
from scheduler.cli.failures import Misused, Refused
from scheduler.cli.show import bold, dim, say

from workbook import hints, progress, screen
from workbook.book import Chapter, Task
from workbook.commands.arguments import Where, chapter_of_task, task_at
from workbook.progress import Progress


def hint(
    where: Where = None,
    again: Annotated[bool, typer.Option("--again", help="Show the hints so far, and no new one.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Begin again with the first hint.")] = False,
) -> None:
    """Give a hint for a task: first a question, then an approach, then the shape of the code.

    For your next task, or for WHERE; of a chapter, for the first task that is not
    green. Each call goes one hint deeper.

    Examples:

      workbook hint
      workbook hint 3.2
    """
    if again and reset:
        raise Misused("--again and --reset exclude each other")
    task = task_at(where or [])
    ask = f"workbook hint {task.brief}" if where else "workbook hint"
    show(chapter_of_task(task), task, again=again, reset=reset, ask=ask)


def show(
    chapter: Chapter, task: Task, *, again: bool = False, reset: bool = False, ask: str = "workbook hint"
) -> None:
    """Write the next hint of a task, and remember that it was shown. Raises `Refused` if there are none.

    `ask` is how the next one is asked for.
    """
    of_task = hints.of(chapter, task.number)
    if not of_task:
        raise Refused(f"there are no hints for task {task.number} of chapter {chapter.number}")
    shown = 0 if reset else min(progress.read().hints.get(task.address, 0), len(of_task))
    level = max(1, shown) if again else min(shown + 1, len(of_task))
    # Again, or none is left: all of them, for the last alone is not what the earlier ones were about.
    first = 1 if again or level == shown else level
    say()
    say(f"  {bold(f'{chapter.number} task {task.number}: {task.name}')}")
    for number in range(first, level + 1):
        _write(of_task[number - 1], number, len(of_task))
    _remember(task, level)
    say()
    say(dim(f"  {_what_is_left(task, level, len(of_task), ask)}"))


def _write(one: hints.Hint, number: int, of: int) -> None:
    say()
    say(f"  Hint {number} of {of}: {one.name}")
    say()
    for line in one.lines(screen.width() - 6):
        say(f"    {line}" if line else "")


def _what_is_left(task: Task, level: int, of: int, ask: str) -> str:
    match of - level:
        case 0:
            return f"That was the last hint. An answer, if you must: workbook diff {task.brief} --anyway"
        case 1:
            return f"1 hint is left: {ask}"
        case left:
            return f"{left} hints are left: {ask}"


def _remember(task: Task, level: int) -> None:
    def change(known: Progress) -> None:
        known.hints[task.address] = level

    with suppress(OSError):  # a hint that can't be remembered is still a hint
        progress.update(change)
