"""Code in lines that a terminal can hold, broken only where Python lets a line go on: it stays the same code."""

import io
import re
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

INDENT = 8
OPENING, CLOSING = frozenset("([{"), frozenset(")]}")
FSTRING = frozenset(
    getattr(tokenize, name) for name in ("FSTRING_START", "FSTRING_END") if hasattr(tokenize, name)
)
"""From Python 3.12 on, what stands in an f-string comes in tokens of its own."""
PASSED_OVER = frozenset(
    {tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)


@dataclass(frozen=True)
class _Break:
    """Where a line may be broken, the best first: behind a comma, at a space, behind an opening bracket."""

    kind: int
    column: int


def folded(source: str, columns: int) -> str:
    """The code in lines of at most so many columns. A line that can be broken nowhere stays as long as it is."""
    try:
        breaks = _breaks(source)
    except (tokenize.TokenError, SyntaxError):
        return source
    lines: list[str] = []
    for number, line in enumerate(source.splitlines(), 1):
        if len(line) <= columns:
            lines.append(line)
        elif number in breaks.comments:
            lines += _comment(line, columns)
        else:
            lines += _code(line, columns, breaks.of_line.get(number, []))
    return "\n".join(lines)


@dataclass(frozen=True)
class _Breaks:
    of_line: dict[int, list[_Break]]
    comments: set[int]
    """Lines that hold a comment and no code."""


def _breaks(source: str) -> _Breaks:
    found = _Breaks({}, set())
    depth = strings = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        row, column = token.start
        before = token.line[:column] if token.start[0] == token.end[0] else ""
        if token.type == tokenize.COMMENT and not before.strip():
            found.comments.add(row)
        if depth and not strings and before.strip() and token.type not in PASSED_OVER:
            found.of_line.setdefault(row, []).extend(_kind(before, column))
        if token.type in FSTRING:
            strings += 1 if token.type == min(FSTRING) else -1
        if token.type == tokenize.OP and not strings:
            depth += (token.string in OPENING) - (token.string in CLOSING)
    return found


def _kind(before: str, column: int) -> Iterator[_Break]:
    if before.endswith(", "):
        yield _Break(0, column)
    elif before.endswith(" "):
        yield _Break(1, column)
    elif before[-1] in OPENING:
        yield _Break(2, column)


def _code(line: str, columns: int, breaks: list[_Break]) -> Iterator[str]:
    indent = len(line) - len(line.lstrip())
    begin, lead = 0, ""
    while len(lead) + len(line) - begin > columns:
        last = begin + columns - len(lead)
        coming = [one for one in breaks if one.column > begin]
        if not coming:
            break
        # What is too long by itself, a text, stands alone at least.
        fits = [one for one in coming if one.column <= last] or coming[:1]
        best = min(one.kind for one in fits)
        end = max(one.column for one in fits if one.kind == best)
        yield (lead + line[begin:end]).rstrip()
        begin, lead = end, " " * (indent + INDENT)
    yield lead + line[begin:]


def _comment(line: str, columns: int) -> list[str]:
    mark = re.match(r"\s*#+ ?", line)
    lead = mark[0] if mark else ""
    return textwrap.wrap(
        line[len(lead) :],
        columns,
        initial_indent=lead,
        subsequent_indent=lead,
        break_long_words=False,
        break_on_hyphens=False,
    )
