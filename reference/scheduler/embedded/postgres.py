"""The PostgreSQL server: how its database is made, how it is run, and when it is ready."""

import secrets
import signal
import subprocess
import sys
from pathlib import Path

from scheduler.embedded import programs
from scheduler.embedded.places import clean_environment, from_spelled, give, write_private
from scheduler.embedded.records import Record
from scheduler.embedded.server import START_SECONDS, Server
from scheduler.embedded.services import HOST

CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
CHEAP_SCRAM = "scram_iterations=1"
"""A password that is drawn by chance needs no slow hash, and each connection pays for it on both sides."""


class Postgres(Server):
    name = "postgres"
    title = "PostgreSQL"
    # Fast shutdown. Windows knows SIGTERM alone, which ends a process at once.
    end_signal = signal.SIGTERM if sys.platform == "win32" else signal.SIGINT

    def prepare(self) -> None:
        self.program, version = programs.first_usable(programs.postgres(), self.place, self.say)
        first = not self.home.exists()
        self.say(f"Starting PostgreSQL {version}{' (first start: creating its files)' if first else ''} …")
        if first:
            self._create(major=int(version.split(".")[0]))
        self.password = (self.home / "password").read_text(encoding="ascii")
        # None of ours runs, but another program may have the pid in there by now, and PostgreSQL would not start.
        # Should somebody else's server run on this data, PostgreSQL notices that without the file as well.
        (self.home / "data" / "postmaster.pid").unlink(missing_ok=True)

    def _create(self, major: int) -> None:
        """Make the database under another name, then rename it: a killed start leaves no half database."""
        new = self.place.unfinished(self.name)
        data, password = str(new / "data"), new / "password"
        write_private(password, secrets.token_urlsafe(24))
        give(password, self.place.account)
        options = ["--username=scheduler", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]
        if major >= 17:
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self.durable:
            options += ["--no-sync", *(["--set", CHEAP_SCRAM] if major >= 16 else [])]
        initdb = str(self.program.with_name(programs.exe("initdb")))
        self._run([initdb, "-D", data, f"--pwfile={password}", *options], new)
        self._run([str(self.program), "--single", "-D", data, "postgres"], new, "CREATE DATABASE scheduler\n")
        new.rename(self.home)

    def _run(self, command: list[str], folder: Path, text: str = "") -> None:
        with self.log.open("ab") as log:
            done = subprocess.run(
                command,
                input=text.encode(),
                stdout=log,
                stderr=log,
                cwd=folder,
                env=clean_environment(),
                timeout=START_SECONDS,
                **self.place.rights(),
            )
        if done.returncode != 0:
            raise self.failure()

    def command(self, port: int) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "port": str(port),
            # No socket file: its path may be at most some 100 characters long, and TCP is enough.
            "unix_socket_directories": "",
            "max_connections": "200",
            **({} if self.durable else CARELESS),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.program), "-D", str(self.home / "data"), *options]

    @staticmethod
    def is_ready(record: Record) -> bool:
        """Whether the server with this pid says that it takes connections on this port."""
        file = from_spelled(record.home) / "data" / "postmaster.pid"
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
        except OSError:
            return False
        wanted = [str(record.pid), str(record.port), "ready"]
        return len(lines) >= 8 and [lines[0], lines[3], lines[7]] == wanted
