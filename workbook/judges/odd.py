"""Inputs that are allowed and that nobody thinks of."""

import io
import struct
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

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


def _zone(name: str, winter: str, hours: int, rule: str) -> ZoneInfo:
    """A zone with a summer time, made here: a machine may know none, or others than the next."""
    header = struct.pack(">4sc15x6l", b"TZif", b"2", 0, 0, 0, 0, 1, len(winter) + 1)
    block = header + struct.pack(">lbb", hours * 3_600, 0, 0) + winter.encode() + b"\0"
    return ZoneInfo.from_file(io.BytesIO(2 * block + f"\n{rule}\n".encode()), key=name)


BERLIN = _zone("Europe/Berlin", "CET", 1, "CET-1CEST,M3.5.0,M10.5.0/3")
"""What psycopg gives for the zone of a session is of this kind, and is the same object in each time."""


KEYS = (
    "once",
    "Once",
    " once",
    "once ",
    "it's",
    "its",
    'say "once"',
    "50%s",
    "50%",
    "a_b",
    "a-b",
    "caf\u00e9",
    "cafe\u0301",
    "k" * 255,
    "k" * 254,
)
"""Idempotency keys, each allowed and each another than all the others."""

SECRETS = ("hunter2", "p@ss:w/rd", "100%25", "a b#c?d", "[::1]", "naïve")
"""Passwords. Most of them mean something else where they stand in a URL as they are."""

VERSIONS = tuple(
    UUID(text)
    for text in (
        "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "6fa459ea-ee8a-3ca4-894e-db77e160355e",
        "886313e1-3b8a-5372-9b90-0c9aee199e5d",
        "018f8f3e-7c7a-7b3a-9b1d-3f2c5d6e7f80",
        "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "00000000-0000-0000-0000-000000000001",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "12345678-1234-1234-1234-123456789012",
    )
)
"""Ids of all versions, and of none: a client may choose any."""


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
