"""Several processes of one kind: started together, stopped together, and none outlives the one that started them.

One that dies is started again, after a pause that grows with each time: the others work on meanwhile. Only what is
wrong from the start, such as a setting, ends all of them.

Each child's standard input is a pipe of which the parent holds the other end. When the pipe closes, the child drains:
on purpose, or because the parent is gone, kill -9 included.
"""

import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Any

from scheduler.cli.failures import MISUSED, Misused, Refused
from scheduler.cli.waiting import next_of

if TYPE_CHECKING:
    from scheduler.config import Settings

log = logging.getLogger(__name__)

Child = subprocess.Popen[bytes]
Events = queue.SimpleQueue[int | Child]
"""What the parent waits for: a signal, or a child that has ended."""

METRICS_PORTS = {"api": (2112, 2200), "worker": (2113, 2113)}
"""The first process's port where METRICS_PORT does not say it, and what the others' are counted from.

API processes that counted on from 2112 would take the worker's port.
"""

START_SECONDS = 10.0
"""A process that ends sooner, and says why with its exit code, has found something wrong that concerns all."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A process that has lived so long is started again after the first pause."""


class Place:
    """One of the processes: the child that runs there now, or when the next one is due."""

    def __init__(self, name: str, environment: dict[str, str], events: Events) -> None:
        self._name = name
        self._environment = environment
        self._events = events
        self._pause = FIRST_PAUSE_SECONDS
        self._began = 0.0
        self._generation = 0
        self.due: float | None = None
        self.child = self._begin()

    def is_wrong_from_the_start(self) -> bool:
        """Whether its child, which has ended, will end so each time."""
        soon = monotonic() - self._began < START_SECONDS
        return self.child.returncode == MISUSED or (
            soon and self._generation == 1 and self.child.returncode >= 0
        )

    def begin_later(self) -> float:
        """Its child has ended: start another after a pause. Returns the pause in seconds."""
        if monotonic() - self._began > STEADY_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        pause = self._pause
        self.due = monotonic() + pause
        self._pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return pause

    def begin_if_due(self) -> None:
        if self.due is not None and monotonic() >= self.due:
            self.due = None
            self.child = self._begin()
            log.info("started process %d again", self.child.pid)

    def _begin(self) -> Child:
        self._began = monotonic()
        self._generation += 1
        return _start(self._name, self._environment, self._events)


def run(name: str, number: int, handlers: list[str], settings: "Settings") -> None:
    """Run `number` processes of `scheduler NAME` until a signal; a second one ends them at once.

    Raises `Refused` if something is wrong from the start, once all have drained, and `Misused` if a port is none or is
    taken.
    """
    events: Events = queue.SimpleQueue()
    with _shared_port(settings) if name == "api" else nullcontext(settings.grpc_port) as port:
        environments = [_environment(name, index, port, handlers, settings) for index in range(number)]
        places = [Place(name, environment, events) for environment in environments]
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_number, lambda number, _frame: events.put(number))
        log.info("started %d processes: %s", number, ", ".join(str(place.child.pid) for place in places))
        wrong = _watch_over(places, events)
        log.info("stopping all processes")
        _drain([place.child for place in places if place.due is None], wrong, events)
    if wrong is not None:
        raise Refused(f"process {wrong.pid} ended by itself ({_how(wrong)}), so the others were stopped")


def _watch_over(places: list[Place], events: Events) -> Child | None:
    """Start again what dies, until a signal (None) or until a child has found something wrong from the start."""
    while True:
        event = _next(events, places)
        if not isinstance(event, subprocess.Popen):
            return None
        place = next(place for place in places if place.child is event)
        if place.is_wrong_from_the_start():
            return event
        pause = place.begin_later()
        log.warning(
            "process %d ended by itself (%s); another one starts in %g s", event.pid, _how(event), pause
        )


def _environment(
    name: str, index: int, port: int, handlers: list[str], settings: "Settings"
) -> dict[str, str]:
    return {
        **os.environ,
        "GRPC_PORT": str(port),
        "METRICS_PORT": str(_metrics_port(name, index, settings)),
        "HANDLERS": ",".join(handlers),
    }


def _metrics_port(name: str, index: int, settings: "Settings") -> int:
    if settings.metrics_port is None:
        first, others = METRICS_PORTS[name]
        return others + index if index else first
    if settings.metrics_port == 0:
        return 0
    if settings.metrics_port + index > 65_535:
        raise Misused(
            f"METRICS_PORT should leave room for one port more for each process, up to {index} here"
        )
    return settings.metrics_port + index


def _start(name: str, environment: dict[str, str], events: Events) -> Child:
    # A session of its own: Ctrl-C on a terminal reaches the whole group, and the parent alone is to pass it on.
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    child = subprocess.Popen(
        [sys.executable, "-m", "scheduler", name, "--child"],
        stdin=subprocess.PIPE,
        env=environment,
        **options,
    )

    def report_its_end() -> None:
        child.wait()
        events.put(child)

    threading.Thread(target=report_its_end, daemon=True).start()
    return child


def _next(events: Events, places: Iterable[Place]) -> int | Child:
    """The next event; while it does not come, what is due is started."""
    while True:
        for place in places:
            place.begin_if_due()
        try:
            return events.get(
                timeout=0.5
            )  # a signal too late for its last look would be lost in a wait without end
        except queue.Empty:
            continue


def _drain(children: list[Child], ended: Child | None, events: Events) -> None:
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    left = len(children) - (ended is not None)
    while left:
        event = next_of(events)
        if isinstance(event, subprocess.Popen):
            left -= 1
        else:
            for child in children:
                child.kill()


def _how(child: Child) -> str:
    code = child.returncode
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


@contextmanager
def _shared_port(settings: "Settings") -> Iterator[int]:
    """Hold the API's port for the children, which share it; with GRPC_PORT=0 this is where a free one is chosen."""
    from scheduler.listening import addresses, mistake

    if not hasattr(socket, "SO_REUSEPORT"):
        raise Misused("on this system no two processes can share the API's port: leave --processes out")
    host, port = settings.grpc_host, settings.grpc_port
    try:
        kind, address = addresses(host, port)[0]
        with socket.socket(kind) as alone, socket.socket(kind) as shared:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # Without sharing first: another scheduler that shares its port would otherwise go unnoticed.
            alone.bind(address)
            alone.close()
            shared.bind(address)
            taken = shared.dup()
    except OSError:
        raise mistake("GRPC", host, port) from None
    with taken:
        yield taken.getsockname()[1]
