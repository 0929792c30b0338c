"""What a red test says: one sentence of what was expected and what happened.

assert got == wanted, diagnose("encode_entry(job)", got, wanted, [(b" " in got, "it has spaces")])
"""

from collections.abc import Sequence
from typing import Any

LONGEST = 300


def diagnose(what: str, observed: Any, expected: Any, known: Sequence[tuple[bool, str]] = ()) -> str:
    """One sentence about a difference: the first of the `known` wrong patterns that holds, else expected and got."""
    for holds, words in known:
        if holds:
            return f"{what}: {words} (got {_short(observed)})"
    return f"{what}: expected {_short(expected)}, got {_short(observed)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
