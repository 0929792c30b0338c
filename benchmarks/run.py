"""The rounds. Ours is measured before and after each peer, so that a ratio compares what ran at the same time."""

import os
import platform
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from benchmarks.catalogue import OURS, Entry
from benchmarks.figures import Round, Summaries, summarize
from benchmarks.visit import Visit, benchmark_servers, visit
from workbook.sandbox import Servers

Say = Callable[[str], None]


@dataclass(frozen=True)
class Line:
    """One queue in the results."""

    entry: Entry
    summaries: Summaries
    versions: dict[str, str]
    error: str | None
    """Why a visit came to nothing, if one did."""


@dataclass(frozen=True)
class Results:
    """All of a run. Times in seconds; `load` is the machine's load average before and after."""

    lines: list[Line]
    began: datetime
    seconds: float
    load: tuple[float, float]
    jobs: int
    rounds: int
    limit: float
    machine: str

    @property
    def failures(self) -> list[str]:
        """A sentence for each queue that could not be measured."""
        return [f"{line.entry.name} was not measured: {line.error}" for line in self.lines if line.error]


def run(peers: Sequence[Entry], jobs: int, rounds: int, seconds: float, say: Say) -> Results:
    """Measure ours and these peers, so many rounds."""
    began, clock, load = datetime.now(UTC), monotonic(), _load()
    with benchmark_servers() as running:
        table = _Rounds(running, jobs, seconds, say)
        for number in range(rounds):
            table.one(peers, f"round {number + 1} of {rounds}")
    return Results(
        lines=table.lines(peers),
        began=began,
        seconds=monotonic() - clock,
        load=(load, _load()),
        jobs=jobs,
        rounds=rounds,
        limit=seconds,
        machine=f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
    )


class _Rounds:
    """What has been measured so far."""

    def __init__(self, running: Servers, jobs: int, seconds: float, say: Say) -> None:
        self._running = running
        self._limits = (jobs, seconds)
        self._say = say
        self._ours: list[Visit] = []
        self._rounds: defaultdict[str, list[Round]] = defaultdict(list)
        self._failed: dict[str, str] = {}

    def one(self, peers: Sequence[Entry], title: str) -> None:
        """One round: ours, a peer, ours, the next peer, ours …"""
        before = self._visit(OURS, title)
        for entry in peers:
            if entry.name in self._failed:
                continue  # it would fail again
            theirs = self._visit(entry, title)
            after = self._visit(OURS, title)
            if theirs.error is None:
                self._rounds[entry.name].append(Round(theirs, before, after))
            before = after

    def lines(self, peers: Sequence[Entry]) -> list[Line]:
        lines = [Line(OURS, summarize(self._ours), {}, self._failed.get(OURS.name))]
        for entry in peers:
            rounds = self._rounds[entry.name]
            visits = [one.visit for one in rounds]
            versions = visits[-1].versions if visits else {}
            lines.append(Line(entry, summarize(visits, rounds), versions, self._failed.get(entry.name)))
        return lines

    def _visit(self, entry: Entry, title: str) -> Visit:
        self._say(f"{title}: {entry.name} …")
        came = visit(entry, self._running, *self._limits)
        if came.error is not None:
            self._say(f"{entry.name}: {came.error}")
            self._failed[entry.name] = came.error
        elif entry is OURS:
            self._ours.append(came)
        return came


def _load() -> float:
    return os.getloadavg()[0]
