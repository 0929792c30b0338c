"""`workbook test`: the tests as far as the first red one, and what comes next."""

from typing import Annotated

import typer
from scheduler.cli.show import say

from workbook import screen
from workbook.book import Chapter
from workbook.commands.arguments import Where, chapter_of_task, next_task, place
from workbook.commands.status import here
from workbook.standing import State

Stretch = Annotated[bool, typer.Option("--stretch", help="The stretch tasks too.")]


def run_tests(
    where: Where = None,
    stretch: Stretch = False,
    everything: Annotated[bool, typer.Option("--all", help="Don't stop at the first red test.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what is green with this code.")] = False,
) -> None:
    """Run the tests of your next task's chapter, or of WHERE, as far as the first red one.

    A task that was green is not tested again as long as nothing changes that it
    depends on, unless you name it. Then it says what comes next. The exit code is 0 if all of them are green.

    Examples:

      workbook test
      workbook test 3 --stretch
      workbook test 3.2
    """
    if where:
        found = place(where)
        one, tasks = found.chapter, found.tasks
        stretch = stretch or len(tasks) == 1  # who names one task wants it, stretch or not
    else:
        task = next_task()
        one, tasks = chapter_of_task(task), ()
        stretch = stretch or task.stretch
    from workbook import testrun

    code = testrun.run(one, stretch=stretch, everything=everything, again=again, tasks=tasks)
    if code in (0, 1):
        after(one, code == 0)
    raise typer.Exit(code)


def after(one: Chapter, is_green: bool) -> None:
    """Write how far the chapter is now, and the next step. `is_green`: nothing was red."""
    standing = here()
    say()
    for line in screen.bars(standing, of=one):
        say(line)
    of_chapter = standing.of(one)
    if is_green and of_chapter.core_is_green:
        say()
        say(
            f"  The core of chapter {one.number} is done. Yours beside other answers: workbook diff {one.number}"
        )
        say("  See it at work: workbook serve")
        if of_chapter.count(State.GREEN, stretch=True) < len(one.tasks) - len(one.core):
            say(f"  More of it: workbook test {one.number} --stretch")
    say()
    for line in screen.next_step(standing, screen.Told.GREEN if is_green else screen.Told.RED):
        say(line)
