"""Which scheduler the tests run: the reference, or with `--implementation chapters` one of the learner's own pieces."""

from functools import cache

import pytest
from scheduler.parts import Parts

from workbook import mine, standing
from workbook.book import Task
from workbook.book import chapter as one_chapter
from workbook.loader import REFERENCE, folder_of
from workbook.standing import State

_implementation = REFERENCE


def choose(config: pytest.Config) -> None:
    """Take what the command line says. The chapters' own default, the learner, is none here: it must be asked for."""
    global _implementation
    _implementation = config.getoption("--implementation") or REFERENCE


def is_reference() -> bool:
    return _implementation == REFERENCE


@cache
def own() -> list[mine.Piece]:
    """The pieces that do not come from the reference."""
    return mine.written(_implementation)


def is_missing(task: Task) -> bool:
    """Whether the learner's own pieces of this task's chapter are under test, and the task is not green in them."""
    chapter = one_chapter(task.chapter)
    is_theirs = any(piece.chapter == chapter for piece in own())
    return (
        is_theirs
        and folder_of(chapter, _implementation) == chapter.folder
        and standing.now().state(task) is not State.GREEN
    )


@cache
def parts() -> Parts:
    """The pieces of the scheduler under test. Raises `LoadError` if one can't be used."""
    return mine.parts(own(), _implementation)
