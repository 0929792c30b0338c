"""What the commands write, and how: plain text in a pipe, colours on a terminal that wants them."""

import codecs
import os
import sys
from typing import IO

import typer

COLOURS = {
    "queued": typer.colors.BLUE,
    "running": typer.colors.CYAN,
    "retry": typer.colors.YELLOW,
    "succeeded": typer.colors.GREEN,
    "failed": typer.colors.RED,
    "deadletter": typer.colors.MAGENTA,
    "cancelled": typer.colors.BRIGHT_BLACK,
}
"""The colour of each state, the same wherever a state is shown."""

PLAIN = str.maketrans(
    {"█": "#", "▒": "~", "░": ".", "✓": "+", "✗": "x", "·": "-", "─": "-", "→": ">", "×": "x"}
    | {"…": "...", "«": '"', "»": '"', "’": "'", "–": "-"}
)
"""What stands for our own characters on a terminal whose encoding lacks them."""


def for_any_terminal() -> None:
    """Let what this terminal's encoding lacks come out as plain characters, or as \\u and a number, not as an error."""
    codecs.register_error("plain", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plain")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


def say(line: str = "") -> None:
    """Write a line of the answer to standard output."""
    typer.echo(line, color=in_colour(sys.stdout))


def note(line: str) -> None:
    """Write a line about the answer to standard error, where it does not get into a pipe."""
    typer.echo(dim(line), err=True, color=in_colour(sys.stderr))


def complain(sentence: str) -> None:
    """Write why the command failed to standard error."""
    text = printable(sentence)
    typer.echo(
        f"{typer.style('Error:', fg=typer.colors.RED, bold=True)} {text}",
        err=True,
        color=in_colour(sys.stderr),
    )


def in_colour(stream: IO[str]) -> bool:
    """Whether this stream is a terminal that has not been asked to stay plain (see no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def state(word: str, width: int = 0) -> str:
    """A state in its colour, filled up to `width` columns."""
    return typer.style(word.ljust(width), fg=COLOURS.get(word))


def dim(text: str) -> str:
    """Text of lesser weight."""
    return typer.style(text, dim=True)


def bold(text: str) -> str:
    """Text of greater weight."""
    return typer.style(text, bold=True)


def printable(text: str) -> str:
    """Text on one line without control characters: an error message may carry any, and a terminal would obey them."""
    if text.isprintable():
        return text
    return "".join(map(_printable, text))


def _printable(char: str) -> str:
    return char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
