"""Which scheduler the tests run: the reference, or with `--implementation chapters` one of the learner's own pieces."""

from functools import cache

import pytest
from scheduler.parts import Parts

from workbook import mine
from workbook.loader import REFERENCE

_implementation = REFERENCE


def choose(config: pytest.Config) -> None:
    """Take what the command line says. The chapters' own default, the learner, is none here: it must be asked for."""
    global _implementation
    _implementation = config.getoption("--implementation") or REFERENCE


def is_reference() -> bool:
    return _implementation == REFERENCE


def own() -> list[mine.Piece]:
    """The pieces that do not come from the reference."""
    return mine.written(_implementation)


@cache
def parts() -> Parts:
    """The pieces of the scheduler under test. Raises `LoadError` if one can't be used."""
    return mine.parts(own(), _implementation)
