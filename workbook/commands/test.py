"""`workbook test`: the tests as far as the first red one, and what comes next."""

from typing import Annotated

import typer
from scheduler.cli.show import say

from workbook import screen
from workbook.book import Chapter
from workbook.commands.arguments import OfChapter, chapter_named, next_task
from workbook.commands.status import here
from workbook.standing import State

Stretch = Annotated[bool, typer.Option("--stretch", help="The stretch tasks too.")]


def run_tests(
    chapter: OfChapter = "",
    stretch: Stretch = False,
    everything: Annotated[bool, typer.Option("--all", help="Don't stop at the first red test.")] = False,
) -> None:
    """Run the tests of your next task's chapter, or of CHAPTER, as far as the first red one.

    Then it says what comes next. The exit code is 0 if all of them are green.

    Examples:

      workbook test
      workbook test 3 --stretch
    """
    if chapter:
        one = chapter_named(chapter)
    else:
        task = next_task()
        one = chapter_named(task.chapter)
        stretch = stretch or task.stretch
    code = run(one, stretch, everything)
    raise typer.Exit(code)


def run(one: Chapter, stretch: bool, everything: bool) -> int:
    """Run a chapter's tests in this process, write what comes next, and return the exit code."""
    from workbook import testrun

    code = testrun.run(one, stretch, everything)
    if code in (0, 1):
        after(one)
    return code


def after(one: Chapter) -> None:
    """Write how far the chapter is now, and the next step."""
    standing = here()
    say()
    for line in screen.bars(standing, of=one):
        say(line)
    of_chapter = standing.of(one)
    if of_chapter.core_is_green:
        say()
        say(
            f"  The core of chapter {one.number} is done. Yours beside other answers: workbook diff {one.number}"
        )
        say("  See it at work: workbook serve")
        if of_chapter.count(State.GREEN, stretch=True) < len(one.tasks) - len(one.core):
            say(f"  More of it: workbook test {one.number} --stretch")
    say()
    for line in screen.next_step(standing, is_told=True):
        say(line)
