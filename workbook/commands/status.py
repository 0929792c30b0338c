"""`workbook` alone: where you are, and the next step."""

from contextlib import suppress

from scheduler.cli.failures import Refused
from scheduler.cli.show import say

from workbook import book, screen, skeletons
from workbook.standing import Standing, now


def status() -> None:
    """Write a bar for each chapter, and what to do next. Raises `Refused` if there are no chapters."""
    standing = here()
    with suppress(OSError):  # before anything is written into them
        skeletons.keep()
    say()
    for line in screen.bars(standing):
        say(line)
    say()
    for line in screen.next_step(standing):
        say(line)


def here() -> Standing:
    """Where the learner stands. Raises `Refused` if there are no chapters."""
    if not book.chapters():
        raise Refused(f"there are no chapters in {book.CHAPTERS}: is the repository complete?")
    return now()
