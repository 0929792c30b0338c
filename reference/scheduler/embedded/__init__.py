"""Real PostgreSQL and a real Redis-compatible server without Docker, from binaries in two Python packages.

    with running(default_folder()) as services:
        forget_other_servers()
        settings = Settings(**services.environment())

Both listen on loopback alone, on free ports, behind random passwords, and keep their data in one folder. Whoever asks
for a folder whose servers run joins them; else they are started, and end with the process that started them, kill -9
included. What is in the folder:

    lock                        held while somebody starts servers here
    postgres.lock, redis.lock   held by a server and its supervisor, for as long as one of them lives
    postgres.pid, redis.pid     the process of the server that holds the lock
    postgres.json, redis.json   how to join it: port, password and owner, for its owner alone
    postgres.log, redis.log     what it said since its last start; `.old` is the start before that
    postgres/, redis/           its data

The kernel lets go of a lock when its last holder dies, so a held lock proves that the server beside it is ours and
lives. A pid alone proves less (pids are used again), and an answer on a port nothing: a stranger may answer.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scheduler.embedded.locks import locked
from scheduler.embedded.places import Say, made, place_for
from scheduler.embedded.postgres import Postgres
from scheduler.embedded.records import Record, running_record
from scheduler.embedded.redis import REDIS
from scheduler.embedded.services import HOST, Embedded, EmbeddedError, Services, forget_other_servers
from scheduler.embedded.supervised import Supervised

__all__ = [
    "Embedded",
    "EmbeddedError",
    "Services",
    "default_folder",
    "find",
    "forget_other_servers",
    "running",
    "start",
    "start_redis",
]


def _silent(line: str) -> None:
    """The default for `say`."""


def default_folder() -> Path:
    """`$SCHEDULER_DATA`, else `.data` beside this project's pyproject.toml, else in the current directory."""
    if chosen := os.environ.get("SCHEDULER_DATA"):
        return Path(chosen)
    here = Path.cwd()
    for parent in (here, *here.parents):
        with suppress(OSError, UnicodeDecodeError):
            if "scheduler-workbook" in (parent / "pyproject.toml").read_text(encoding="utf-8"):
                return parent / ".data"
    return here / ".data"


@contextmanager
def running(folder: Path, *, durable: bool = True, say: Say = _silent) -> Iterator[Services]:
    """The services of `folder`, started or joined; on leaving, those that this call started are stopped."""
    with start(folder, durable=durable, say=say) as embedded:
        yield embedded.services


def start_redis(folder: Path, *, say: Say = _silent) -> Embedded:
    """Start Redis alone in `folder`, or join the one that runs there. Its services have no address of a database.

    It keeps nothing when it ends. Raises EmbeddedError.
    """
    return _in(folder, lambda made: _start(made, durable=False, say=say, database=False))


def start(folder: Path, *, durable: bool = True, say: Say = _silent) -> Embedded:
    """Start PostgreSQL and Redis in `folder`, or join those that run there.

    `durable=False` is for tests: faster, and a crash of the machine may lose the data. Raises EmbeddedError.
    """
    return _in(folder, lambda made: _start(made, durable, say))


def _in(folder: Path, begin: Callable[[Path], Embedded]) -> Embedded:
    try:
        folder = made(folder)
        with locked(folder / "lock"):
            return begin(folder)
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(
            f"The data folder {folder} cannot be used ({error}): give one of your own with SCHEDULER_DATA."
        ) from error


def find(folder: Path) -> Services | None:
    """The services that run from `folder` now; None if one of the two does not."""
    folder = folder.resolve()
    try:
        postgres, redis = running_record(folder, "postgres"), running_record(folder, "redis")
    except PermissionError as error:
        raise EmbeddedError(
            f"{error.filename} belongs to another user: run this as the user who started the services."
        ) from error
    if postgres and redis and Postgres.is_ready(postgres) and REDIS.is_ready(redis):
        return _services(postgres, redis)
    return None


def _start(folder: Path, durable: bool, say: Say, database: bool = True) -> Embedded:
    place = place_for(folder, say)
    started: list[Supervised] = []
    try:
        postgres = Postgres(place, durable, say).join_or_start(started) if database else None
        redis = REDIS(place, durable, say).join_or_start(started)
    except BaseException:
        for supervised in started:
            supervised.close()
        raise
    return Embedded(_services(postgres, redis), started)


def _services(postgres: Record | None, redis: Record) -> Services:
    url = f"postgresql://scheduler:{postgres.password}@{HOST}:{postgres.port}/scheduler" if postgres else ""
    return Services(url, HOST, redis.port, redis.password)
