"""One server of a data folder: it is joined if it runs, else started, after what a killed run left has ended."""

import os
import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from scheduler.embedded.locks import is_held, ticks
from scheduler.embedded.places import Place, Say, spelled
from scheduler.embedded.records import Record, running_record
from scheduler.embedded.services import HOST, EmbeddedError
from scheduler.embedded.supervised import Supervised

START_SECONDS = 120
STOP_SECONDS = 60


class PortTaken(EmbeddedError):
    """A stranger took the port after we had looked."""


class Server:
    """What PostgreSQL and Redis have in common."""

    name: ClassVar[str]
    title: ClassVar[str]
    end_signal: ClassVar[int]
    password: str

    def __init__(self, place: Place, durable: bool, say: Say) -> None:
        self.place = place
        self.durable = durable
        self.say = say
        self.home = place.home / self.name
        self.lock = place.folder / f"{self.name}.lock"
        self.pid_file = place.folder / f"{self.name}.pid"
        self.record_file = place.folder / f"{self.name}.json"
        self.log = place.folder / f"{self.name}.log"

    def prepare(self) -> None:
        """Find the program, make the files that the first start needs, and set the password."""
        raise NotImplementedError

    def command(self, port: int) -> list[str]:
        raise NotImplementedError

    @staticmethod
    def is_ready(record: Record) -> bool:
        """Whether what answers is the server of this record, and ready for work."""
        raise NotImplementedError

    def record_of(self, pid: int, port: int) -> Record:
        return Record(os.getpid(), pid, port, self.password, spelled(self.home))

    def join_or_start(self, started: list[Supervised]) -> Record:
        """The running server. What is started for it is added to `started`, also where that fails."""
        if record := self._join():
            return record
        with suppress(FileNotFoundError):
            self.log.replace(self.log.with_suffix(".log.old"))
        self.prepare()
        try:
            return self._start(started)
        except PortTaken:
            return self._start(started)

    def _join(self) -> Record | None:
        """The running server; None once there is surely none. One without an owner is ended."""
        asked = False
        for _ in ticks(STOP_SECONDS):
            if not is_held(self.lock):
                return None
            record = running_record(self.place.folder, self.name)
            if record is not None and self.is_ready(record):
                return record
            if record is None and not asked:
                asked = self._ask_to_end()
        raise EmbeddedError(
            f"{self.title} in {self.place.folder} runs, but neither answers nor ends: "
            f"end its process {_pid_in(self.pid_file)}, then try again. Its log is {self.log}."
        )

    def _ask_to_end(self) -> bool:
        """Its supervisor does this too, unless that was killed as well."""
        pid = _pid_in(self.pid_file)
        if pid is None:
            return False
        self.say(f"Stopping the {self.title} that an earlier run left running (process {pid}).")
        with suppress(ProcessLookupError):
            os.kill(pid, self.end_signal)
        return True

    def _start(self, started: list[Supervised]) -> Record:
        port = free_port()
        self.record_file.unlink(missing_ok=True)
        self.pid_file.unlink(missing_ok=True)
        supervised = Supervised(self.order(self.command(port)), self.log)
        started.append(supervised)
        for _ in ticks(START_SECONDS):
            if supervised.has_ended():
                raise self.failure()
            pid = _pid_in(self.pid_file)
            if pid is not None and self.is_ready(record := self.record_of(pid, port)):
                record.write(self.record_file)
                return record
        raise EmbeddedError(f"{self.title} was not ready in {START_SECONDS} s; its log {self.log} says why.")

    def order(self, command: list[str]) -> dict[str, Any]:
        """What the supervisor is told."""
        return {
            "lock": spelled(self.lock),
            "pid_file": spelled(self.pid_file),
            "record": spelled(self.record_file),
            "command": [spelled(word) for word in command],
            "folder": spelled(self.home),
            "account": self.place.account,
            "signal": self.end_signal,
        }

    def failure(self) -> EmbeddedError:
        """Why it ended before it was ready, in the words of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()] or ["(nothing)"]
        # PostgreSQL's last line is about shutting down; the reason stands above it.
        telling = [line for line in lines if re.search("(FATAL|PANIC|rror):", line)] or lines
        kind = PortTaken if "in use" in text else EmbeddedError
        return kind(f"{self.title} did not start; the last line of its log {self.log} is: {telling[-1]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
