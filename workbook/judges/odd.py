"""Inputs that are allowed and that nobody thinks of."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

TYPES = (
    "noop",
    "sleep",
    'say "hi"',
    "it's",
    "back\\slash",
    "x' OR '1'='1",
    "100%",
    "50%s",
    "%(id)s",
    "a_b",
    "{0}",
    "Nöop",
    "NOOP",
    " noop",
    "日本",
    "a,b;c",
    "null",
)
"""Types of jobs, each of them allowed, plain ones first: what shrinks, shrinks to the front."""

SPACE = UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")
"""The name space of OIDs, for ids whose order has nothing to do with their number."""

NOON = datetime(2024, 5, 17, 12, 0, 0, 654_321, UTC)
"""No float holds it: six digits after the second, and the last one odd."""


def task_id(number: int) -> UUID:
    """The id of the job with this number, the same in each run."""
    return uuid5(SPACE, f"job {number}")


def types() -> SearchStrategy[str]:
    return st.sampled_from(TYPES)


def moments() -> SearchStrategy[datetime]:
    """Times that differ by microseconds, seconds, days, or not at all."""
    steps = [
        timedelta(0),
        *(timedelta(microseconds=n) for n in (1, 7, 333_333)),
        timedelta(seconds=1),
        timedelta(days=40),
    ]
    return st.sampled_from([NOON - step for step in steps])
