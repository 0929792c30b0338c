"""What a notebook says to its reader beside tables and plots: cards, notes, and errors in one sentence."""

import html
import os
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import HTML, display

QUICK = "WORKBOOK_NOTEBOOK_QUICK"


class NotebookError(Exception):
    """Something that the reader should know, as one sentence. A notebook shows the sentence and no stack trace."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def quick() -> bool:
    """Whether to hurry: tests set WORKBOOK_NOTEBOOK_QUICK, so that every notebook ends within seconds."""
    return bool(os.environ.get(QUICK))


def size(full: int, small: int) -> int:
    """How much of something: `full` for a reader, `small` for a test run in a hurry."""
    return small if quick() else full


def card(title: str, *lines: str, colour: str = "#0072B2") -> None:
    """Show a card: a title, and a paragraph for each line. `backticks` in it become code."""
    body = "".join(f'<p style="margin:.4em 0 0">{_marked(line)}</p>' for line in lines)
    _show(
        f'<div class="workbook-card" style="border-left:5px solid {colour};padding:.6em 1em;margin:.4em 0;'
        f'max-width:46em"><strong>{_marked(title)}</strong>{body}</div>'
    )


def note(text: str) -> None:
    """Show one line in small print."""
    _show(f'<div class="workbook-note" style="opacity:.75;font-size:90%">{_marked(text)}</div>')


def shell() -> Any:
    """The IPython that runs this notebook; None in plain Python."""
    return get_ipython()


def _show(text: str) -> None:
    display(HTML(text))  # type: ignore[no-untyped-call]


def _marked(text: str) -> str:
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
