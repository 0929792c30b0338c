"""What a test run or a notebook that was killed has left on servers that go on: the next one takes it away.

Each run has a name, and its databases and its claims of Redis indexes carry it. As long as it lives, it holds a lock of
that name in PostgreSQL, and Redis knows its connection by the name. However its process ends, kill -9 included, both
servers notice at once. So what carries a name that nobody holds is nobody's: no clock and no process id is asked.

Whoever looks for such things lists them first, and then asks who lives: a run holds its name before it makes anything.
"""

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from redis import Redis
from redis.exceptions import WatchError

KINDS = ("test", "empty", "template")
DATABASE = re.compile(rf"({'|'.join(KINDS)})_([0-9a-f]{{8}})_[0-9a-f]+")
CLAIM = "test-index:"
OURS = 0x7E57
"""Tells our locks from those of others; the second number of a lock is the name of the run."""
HOLDERS = (
    "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid::bigint = %s AND objsubid = 2"
)


found: list[str] = []
"""What this process had to take back at the end of a run, because nobody had before."""


def new_database(kind: str, run: str) -> str:
    """A name for a database of this run."""
    return f"{kind}_{run}_{secrets.token_hex(6)}"


def client_name(run: str) -> str:
    """What Redis calls the connections by which a run holds its claims."""
    return f"test-run-{run}"


@contextmanager
def named(connection: "psycopg.Connection[Any]") -> Iterator[str]:
    """The name of a new run, held by this connection while the block runs. Whose owners are gone is swept first."""
    run = _hold_a_name(connection)
    sweep_databases(connection)
    try:
        yield run
    finally:
        # What could not be taken back one by one: a connection may have been lost in mid-run.
        for name in databases(connection, run):
            found.append(f"the database {name}")
            drop(connection, name)


def databases(connection: "psycopg.Connection[Any]", run: str | None = None) -> list[str]:
    """The databases of one run, or of any."""
    names = [name for (name,) in connection.execute("SELECT datname FROM pg_database ORDER BY datname")]
    found = [(name, match[2]) for name in names if (match := DATABASE.fullmatch(name))]
    return [name for name, owner in found if run in (None, owner)]


def sweep_databases(connection: "psycopg.Connection[Any]") -> None:
    """Drop the databases of runs that live no more."""
    there = databases(connection)
    living = {f"{number:08x}" for (number,) in connection.execute(HOLDERS, [OURS])}
    for name in there:
        if name.split("_")[1] not in living:
            drop(connection, name)


def sweep_claims(redis: Redis, index_of: Callable[[int], Redis], run: str) -> None:
    """Empty the indexes whose claims belong to runs that live no more, and give them back.

    `redis` is index 0, where the claims are; `index_of` opens another.
    """
    claims = {key: owner for key in redis.scan_iter(f"{CLAIM}*") if (owner := redis.get(key)) is not None}
    living = {client["name"] for client in redis.client_list()}
    for key, owner in claims.items():
        if client_name(_text(owner)) not in living and _taken_over(redis, key, owner, run):
            with index_of(int(_text(key).removeprefix(CLAIM))) as index:
                index.flushdb()
            redis.delete(key)


def give_back_claims(redis: Redis, run: str) -> None:
    """Give back what this run still claims at its end."""
    for key in redis.scan_iter(f"{CLAIM}*"):
        if (owner := redis.get(key)) is not None and _text(owner) == run:
            found.append(f"the claim {_text(key)}")
            redis.delete(key)


def drop(connection: "psycopg.Connection[Any]", name: str) -> None:
    """Drop a database, whoever uses it, if it is there."""
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _hold_a_name(connection: "psycopg.Connection[Any]") -> str:
    while True:
        run = secrets.token_hex(4)
        number = int.from_bytes(bytes.fromhex(run), signed=True)
        held = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", [OURS, number]).fetchone()
        if held is not None and held[0]:
            return run


def _taken_over(redis: Redis, key: bytes | str, owner: bytes | str, run: str) -> bool:
    """Whether the claim was its dead owner's until now, and is ours from now on. Somebody else may sweep, too."""
    with redis.pipeline() as pipeline:
        pipeline.watch(key)  # type: ignore[no-untyped-call]
        if pipeline.get(key) != owner:
            return False
        pipeline.multi()
        pipeline.set(key, run)
        try:
            pipeline.execute()
        except WatchError:
            return False
    return True


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
