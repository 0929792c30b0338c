"""Whether a password shows in what an error says, or a log, in whatever way it is written there."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from urllib.parse import quote, quote_plus


def passwords(texts: Iterable[str], secrets: Sequence[str]) -> list[str]:
    """The lines that show one, with stars in its place."""
    written = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)
    lines = [line for text in texts for line in text.splitlines() if any(one in line for one in written)]
    for one in written:
        lines = [line.replace(one, "*****") for line in lines]
    return [line[:160] for line in lines]


def _forms(secret: str) -> set[str]:
    """How a password is written as it is, in a URL, in Python and in JSON."""
    in_a_url = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return {secret, *in_a_url, repr(secret)[1:-1], ascii(secret)[1:-1], json.dumps(secret)[1:-1]}


def texts_of(error: BaseException | None) -> Iterator[str]:
    """All that a traceback would write of an error: what it says, its notes, and the same of the errors behind it."""
    waiting, met = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in met:
            continue
        met.add(id(one))
        for write in (str, repr):
            with suppress(Exception):  # an error of a class that can't even say what it is
                yield write(one)
        notes = getattr(one, "__notes__", None)
        yield from (
            f"a note of the error: {note}" for note in (notes if isinstance(notes, list | tuple) else ())
        )
        waiting += [one.__cause__, one.__context__]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
