"""Several processes: when one that ended is started again, how all are stopped, and the port that they share."""

import queue
import signal
import socket
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
from scheduler.cli import processes
from scheduler.cli.failures import MISUSED, REFUSED
from scheduler.cli.processes import Place
from scheduler.config import ConfigError, Settings

pytestmark = [pytest.mark.timeout(60), pytest.mark.of_reference]


class World:
    """A clock that is set by hand, and children that end when told."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.place = Place("worker", {}, queue.SimpleQueue())

    def live(self, seconds: float, code: int) -> None:
        self.now += seconds
        self.place.child.returncode = code

    def begin_again(self) -> float:
        """Wait for the next child, and say for how long."""
        pause = self.place.begin_later()
        before = self.place.child
        self.now += pause - 0.001
        self.place.begin_if_due()
        assert self.place.child is before
        self.now += 0.001
        self.place.begin_if_due()
        assert self.place.child is not before
        return pause


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made: list[World] = []
    monkeypatch.setattr(processes, "monotonic", lambda: made[0].now if made else 1_000.0)
    monkeypatch.setattr(processes, "_start", lambda *_: SimpleNamespace(pid=1, returncode=None))
    made.append(World())
    return made[0]


@pytest.mark.parametrize(
    ("code", "seconds", "child", "is_wrong"),
    [
        (REFUSED, 1, 1, True),
        (REFUSED, processes.START_SECONDS + 1, 1, False),  # it worked for a while
        (REFUSED, 1, 2, False),  # and so did the one before it
        (-9, 1, 1, False),  # somebody killed it
        (MISUSED, 3_600, 1, True),  # a setting stays wrong
        (MISUSED, 1, 2, True),
    ],
)
def test_what_is_wrong_from_the_start_is_told_from_what_may_pass(
    world: World, code: int, seconds: float, child: int, is_wrong: bool
) -> None:
    for _ in range(child - 1):
        world.live(1, -9)
        world.begin_again()
    world.live(seconds, code)
    assert world.place.is_wrong_from_the_start() is is_wrong


def test_the_pause_grows_up_to_a_limit_and_is_short_again_for_one_that_lived_long(
    world: World,
) -> None:
    pauses = []
    for _ in range(8):
        world.live(1, -9)
        pauses.append(world.begin_again())
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    world.live(processes.STEADY_SECONDS + 1, -9)
    assert world.begin_again() == 0.5


class Stubborn(subprocess.Popen[bytes]):
    """A child that ends when it is killed, or when its input is closed, if it heeds that."""

    def __init__(self, events: processes.Events, heeds: bool) -> None:
        self._events = events
        self.pid = 1
        self.returncode = None
        self.stdin: Any = SimpleNamespace(close=self.kill if heeds else lambda: None)

    def kill(self) -> None:
        if self.returncode is None:
            self.returncode = 0
            self._events.put(self)


def test_a_second_signal_kills_who_does_not_stop() -> None:
    events: processes.Events = queue.SimpleQueue()
    events.put(signal.SIGTERM)
    processes._drain([Stubborn(events, heeds=False)], None, events)
    assert events.empty()


def test_whoever_stops_all_waits_for_none_that_is_to_be_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has ended, and will not end a second time."""

    def one_has_ended(places: list[Place], events: processes.Events) -> None:
        places[0].child.kill()
        assert events.get() is places[0].child
        places[0].begin_later()

    monkeypatch.setattr(processes, "_start", lambda _name, _environment, events: Stubborn(events, heeds=True))
    monkeypatch.setattr(processes, "_watch_over", one_has_ended)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    processes.run("worker", 2, [], Settings())


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="no two processes can share a port here")
def test_a_port_that_another_scheduler_shares_among_its_processes_is_taken() -> None:
    with socket.socket() as another:
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        another.bind(("127.0.0.1", 0))
        settings = Settings(grpc_port=another.getsockname()[1])
        with pytest.raises(ConfigError, match="GRPC_PORT"), processes._shared_port(settings):
            pass
