"""The demo's jobs as they change: a live table on a terminal, a line a change anywhere else."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from scheduler.cli.show import COLOURS, say, state


@dataclass
class Row:
    """A job of the demo: what is submitted, and what is known of it so far."""

    type: str
    priority: str
    payload: dict[str, Any] = field(default_factory=dict)
    max_attempts: int = 3
    cancel: bool = False
    job_id: str = ""
    state: str = ""
    attempts: int = 0
    message: str = ""


class Board(Protocol):
    """What shows the jobs."""

    def changed(self, row: Row) -> None:
        """This job has changed: show it."""


@contextmanager
def board_for(rows: Sequence[Row]) -> Iterator[Board]:
    """The board that fits standard output. While it is up, the scheduler logs errors only: the board says the rest."""
    console = Console(highlight=False)
    logger = logging.getLogger("scheduler")
    logger.setLevel(logging.ERROR)
    try:
        if console.is_terminal and not console.is_dumb_terminal and os.environ.get("TERM") != "dumb":
            with Live(
                get_renderable=lambda: _table(rows, console.width), console=console, refresh_per_second=10
            ):
                yield _Table()
        else:
            yield _Lines()
    finally:
        logger.setLevel(logging.NOTSET)


class _Table:
    """`Live` draws the rows anew ten times a second."""

    def changed(self, row: Row) -> None:
        pass


class _Lines:
    def __init__(self) -> None:
        self._began = time.monotonic()

    def changed(self, row: Row) -> None:
        seconds = time.monotonic() - self._began
        say(f"{seconds:6.2f} s  {row.type:<12} {row.priority:<8}  {state(row.state, 10)}  {row.message}")


def _table(rows: Sequence[Row], width: int) -> Table:
    # Narrower than the terminal: the ^C that it echoes would otherwise begin a new line, and the drawing slip by one.
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", width=width - 4)
    for name in ("JOB", "PRIORITY", "STATE", "TRIES"):
        table.add_column(name, no_wrap=True)
    table.add_column("WHAT HAPPENED")
    for row in rows:
        table.add_row(
            row.type,
            row.priority,
            Text(row.state, COLOURS.get(row.state, "")),
            f"{row.attempts}/{row.max_attempts}" if row.attempts else "",
            Text(row.message),
        )
    return table
