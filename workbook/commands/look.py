"""`workbook look`: what goes on inside a scheduler, while it runs."""

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer
from scheduler.cli.failures import expected

if TYPE_CHECKING:
    from rich.console import Console, Group
    from scheduler.config import Settings

    from workbook.system import System

EACH_SECONDS = 0.5
LONG = 60
"""Lines, where nothing limits them."""

Once = Annotated[bool, typer.Option("--once", help="Show it once, and end.")]


def look(only_once: Once = False) -> None:
    """Show the system as it is now, and as it changes.

    Queues with their entries, running jobs with their leases, retries, dead
    letters, and the last changes, of a running `workbook serve` or `scheduler
    up`, or of the services that DATABASE_URL and REDIS_HOST name. Ctrl-C ends it.
    """
    if only_once or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        once()
    else:
        _live()


def once() -> None:
    """Write the system as it is now. Raises `Refused` if nothing runs."""
    from workbook import system

    with expected(), system.observed(_settings()) as observer:
        _console().print(_drawn(observer.look(), LONG), no_wrap=True)


def _live() -> None:
    from rich.live import Live

    from workbook import system

    console = _console()
    with expected(), system.observed(_settings()) as observer:
        try:
            # One line less than the terminal has: a taller drawing can't be drawn over.
            first = _drawn(observer.look(), console.height - 1)
            with Live(first, console=console, auto_refresh=False) as live:
                while True:
                    time.sleep(EACH_SECONDS)
                    live.update(_drawn(observer.look(), console.height - 1), refresh=True)
        except KeyboardInterrupt:
            return


def _settings() -> "Settings":
    from scheduler.cli import services

    services.found_redis()
    return services.found_database()


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False)


def _drawn(system: "System", height: int) -> "Group":
    from rich.console import Group

    from workbook.system_screen import lines

    # Narrower than the terminal: the ^C that it echoes would otherwise begin a new line.
    width = shutil.get_terminal_size().columns - 4
    return Group(*lines(system, width, height))
