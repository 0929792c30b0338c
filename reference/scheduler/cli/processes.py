"""Several processes of one kind: started together, stopped together, and none outlives the one that started them.

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
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from scheduler.cli.failures import Misused, Refused
from scheduler.cli.waiting import next_of

if TYPE_CHECKING:
    from scheduler.config import Settings

log = logging.getLogger(__name__)

Child = subprocess.Popen[bytes]
Events = queue.SimpleQueue[int | Child]
"""What the parent waits for: a signal, or a child that has ended."""

METRICS_PORTS = {"api": 2112, "worker": 2113}


def run(name: str, number: int, handlers: list[str], settings: "Settings") -> None:
    """Run `number` processes of `scheduler NAME` until a signal; a second one ends them at once.

    Raises `Refused` if a child ended by itself, once the others have drained, and `Misused` if the port is taken.
    """
    events: Events = queue.SimpleQueue()
    with _shared_port(settings) if name == "api" else nullcontext(settings.grpc_port) as port:
        environments = [_environment(name, index, port, handlers, settings) for index in range(number)]
        children = [_start(name, environment, events) for environment in environments]
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_number, lambda number, _frame: events.put(number))
        log.info("started %d processes: %s", number, ", ".join(str(child.pid) for child in children))
        first = next_of(events)
        log.info("stopping all processes")
        _drain(children, first, events)
    if isinstance(first, subprocess.Popen):
        raise Refused(f"process {first.pid} ended by itself ({_how(first)}), so the others were stopped")


def _environment(
    name: str, index: int, port: int, handlers: list[str], settings: "Settings"
) -> dict[str, str]:
    base = METRICS_PORTS[name] if settings.metrics_port is None else settings.metrics_port
    return {
        **os.environ,
        "GRPC_PORT": str(port),
        "METRICS_PORT": str(base + index if base else 0),
        "HANDLERS": ",".join(handlers),
    }


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


def _drain(children: list[Child], first: int | Child, events: Events) -> None:
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    left = len(children) - isinstance(first, subprocess.Popen)
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
    if not hasattr(socket, "SO_REUSEPORT"):
        raise Misused("on this system no two processes can share the API's port: leave --processes out")
    host, port = settings.grpc_host, settings.grpc_port
    family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family) as alone, socket.socket(family) as shared:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            # Without sharing first: another scheduler that shares its port would otherwise go unnoticed.
            alone.bind(address)
            alone.close()
            shared.bind(address)
        except OSError:
            raise Misused(f"GRPC_PORT: can't listen on {host}:{port}; choose a port that is free") from None
        yield shared.getsockname()[1]
