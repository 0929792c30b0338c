"""The first cell of every notebook: connect to the system that runs, or start one; else show a card that says how.

There are two kinds of system. `connect()` joins the one that runs, its API included, and looks and submits as any
client does. `connect(own=True)` makes one that may be mistreated: a server in this process, in a database and a Redis
index that are made for it, on the servers of `scheduler up` if those run, else on servers that it starts and ends.
"""

import atexit
import os
from contextlib import ExitStack, suppress
from typing import Any, cast

import grpc
import psycopg
from redis import Redis
from redis.exceptions import RedisError
from scheduler import embedded
from scheduler.cli import services
from scheduler.cli.client import DEFAULT_ADDRESS
from scheduler.cli.failures import Failure
from scheduler.config import ConfigError
from scheduler.embedded import EmbeddedError
from scheduler.parts import Parts, reference

from workbook.notebook import plots
from workbook.notebook.page import NotebookError, card, note, shell
from workbook.notebook.system import CallFailed, System
from workbook.sandbox import Servers, servers

JOIN_ONLY = "WORKBOOK_NOTEBOOK_JOIN_ONLY"

PACE: dict[str, Any] = {
    "watch_poll_seconds": 1,
    "poll_seconds": 0.1,
    "reconcile_seconds": 0.5,
    "reconcile_age_seconds": 2,
    "retry_base_seconds": 0.5,
    "retry_cap_seconds": 30,
    "shutdown_grace_seconds": 1,
    "database_wait_seconds": 1,
}
"""The settings of an own system: quicker than the defaults, slow enough to watch."""


class NotConnected(NotebookError):
    """There is no system, and none can be started."""


def connect(
    *,
    own: bool = False,
    worker: bool = True,
    parts: Parts | None = None,
    **settings: Any,
) -> System:
    """Connect this notebook to a system, and say which; or show a card that says what to start.

    Without `own`, the system that runs; if none does, an own one is made. An own system has a worker unless
    `worker=False`, is made of `parts` (the reference's by default), and takes settings by their names in
    `docs/settings.md`, in lower case. Running the cell again makes a fresh one in its place.

    With no system to be had, the cells after this one are skipped until it has been run again with success.
    """
    place = (own, worker, tuple(sorted(settings)))
    _close(place)
    plots.use_style()
    try:
        system = _joined() if not own else None
        if system is None:
            system = _own_system(parts or reference(), worker, settings)
    except (ConfigError, EmbeddedError, Failure, NotConnected, psycopg.Error, RedisError, OSError) as error:
        return _none(error)
    _open[place] = system
    _go_on()
    note(system.description)
    return system


_open: dict[Any, System] = {}
_servers: tuple[Servers, ExitStack] | None = None


def _joined() -> System | None:
    """The running system, if its services and its API are found, and belong together."""
    try:
        settings = services.found()
    except (ConfigError, EmbeddedError):
        return None
    if settings.redis_host is None:
        return None
    address = os.environ.get("SCHEDULER_ADDRESS") or DEFAULT_ADDRESS
    with suppress(CallFailed, ConfigError, psycopg.Error, RedisError, grpc.FutureTimeoutError):
        system = System.joined(settings, address)
        if system is not None:
            return system
    return None


def _own_system(parts: Parts, worker: bool, settings: dict[str, Any]) -> System:
    own_servers, is_joined = _servers_of_this_process()
    where = (
        "on the servers that `scheduler up` runs; what it holds itself is not touched"
        if is_joined
        else "on a PostgreSQL and a Redis that were started for it, and end with it"
    )
    system = System.own(own_servers.sandbox(**{**PACE, **settings}), parts)
    try:
        system.description = f"A system of this notebook's own, {where}."
        if worker:
            system.start_worker()
    except BaseException:
        system.close()
        raise
    return system


def _servers_of_this_process() -> tuple[Servers, bool]:
    """The servers that this notebook's own systems live on, and whether they were there before it."""
    global _servers
    running = embedded.find(embedded.default_folder())
    if _servers is not None and _answer(_servers[0]):
        return _servers[0], _servers[0].services == running
    _leave_servers()
    if running is None and os.environ.get(JOIN_ONLY):
        raise NotConnected(f"{JOIN_ONLY} is set, so that nothing is started here.")
    stack = ExitStack()
    _servers = stack.enter_context(servers(join=True)), stack
    return _servers[0], _servers[0].services == running


def _answer(own: Servers) -> bool:
    """Whether servers still run: `scheduler up` may have been stopped since."""
    services_ = own.services
    try:
        psycopg.connect(services_.database_url, connect_timeout=2).close()
        with Redis(
            host=services_.redis_host, port=services_.redis_port, password=services_.redis_password
        ) as redis:
            redis.ping()
    except (psycopg.Error, RedisError):
        return False
    return True


def _close(place: Any) -> None:
    system = _open.pop(place, None)
    if system is not None:
        system.close()


def _leave_servers() -> None:
    global _servers
    for place in list(_open):
        if not _open[place].is_joined:
            _close(place)
    if _servers is not None:
        with suppress(psycopg.Error, RedisError, OSError):
            _servers[1].close()
    _servers = None


@atexit.register
def close_all() -> None:
    """End everything that this notebook has started. The end of its kernel calls this."""
    for place in list(_open):
        _close(place)
    _leave_servers()


# -- when there is nothing to connect to


def _none(error: Exception) -> System:
    why = str(error).rstrip(".").partition("\n")[0]
    card(
        "No scheduler is running yet, so there is nothing to see here.",
        "Start one in a terminal, in the folder of this project:",
        "`. .venv/bin/activate && scheduler up`",
        "Leave it running, come back, and choose “Restart Kernel and Run All Cells” in the menu Run.",
        "Without it, a notebook starts servers for itself; this time it could not: " + why + ".",
        colour="#D55E00",
    )
    interactive = shell()
    if interactive is None:
        raise NotConnected(why) from None
    if _skip not in interactive.input_transformers_cleanup:
        interactive.input_transformers_cleanup.append(_skip)
    return cast("System", None)


def _go_on() -> None:
    interactive = shell()
    if interactive is not None and _skip in interactive.input_transformers_cleanup:
        interactive.input_transformers_cleanup.remove(_skip)


def _skip(lines: list[str]) -> list[str]:
    """Put a note in the place of a cell that needs the system which is not there."""
    if any("nb.connect(" in line for line in lines):
        return lines
    return ["from workbook.notebook.connecting import skipped\n", "skipped()\n"]


def skipped() -> None:
    """What a cell does instead of its work while there is no system."""
    note("Not run: there is no system yet. The card under the first cell says what to start.")
