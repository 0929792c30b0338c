"""A database and a Redis index of one's own, for one test, on servers that are real.

The servers are embedded ones, started once a run in a folder of their own and made for tests (fast, and careless about
power cuts). With TEST_SERVERS=joined they are those of a running `scheduler up`. Or those that TEST_DATABASE_URL and
TEST_REDIS_URL name: give a server where tests may create databases, and a Redis whose indexes above 0 are theirs.
"""

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from redis import Redis, RedisError
from scheduler import embedded, redis_clients
from scheduler.config import Settings
from scheduler.embedded import Embedded, EmbeddedError, Services
from scheduler.migrations import changes

from workbook import left_over
from workbook.left_over import CLAIM, drop
from workbook.patience import stretched

FAST: dict[str, Any] = {
    "grpc_port": 0,
    "metrics_port": 0,
    "redis_prefix": "",
    "watch_poll_seconds": 0.1,
    "poll_seconds": 0.02,
    "reconcile_seconds": 0.1,
    "reconcile_age_seconds": 2,
    "retry_base_seconds": 0.01,
    "retry_cap_seconds": 0.05,
    "shutdown_grace_seconds": 5,
}
"""Settings under which no test waits a second for anything."""

CLAIM_SECONDS = 24 * 3_600
"""For a Redis that does not tell who is connected. Elsewhere a claim ends with its owner."""
MOST_RUNS = 16
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Servers:
    """Two running servers, and a database that holds nothing but the schema, from which others are copied.

    A database that was used is emptied and given to the next who asks, under another name: a new one would take
    several times as long. If more than its rows was changed, or somebody can't be got out of it, it is dropped.
    """

    services: Services
    run: str
    """The name of this test run: its databases and its claims carry it, so that nobody's can be told from ours."""
    template: str
    whose: str = ""
    """What to say about where the servers come from."""
    _emptied: list[str] = field(default_factory=list, repr=False, compare=False)

    @contextmanager
    def sandbox(self, **settings: Any) -> Iterator[Settings]:
        """Settings of a scheduler of one's own: a fresh database, an empty Redis index, free ports."""
        with self._database() as url, self._redis_index() as index:
            yield Settings.from_environment(
                **{
                    **FAST,
                    "database_url": url,
                    "redis_host": self.services.redis_host,
                    "redis_port": self.services.redis_port,
                    "redis_password": self.services.redis_password,
                    "redis_db": index,
                    **settings,
                }
            )

    @contextmanager
    def redis_sandbox(self) -> Iterator[Settings]:
        """The same without a database."""
        with self._redis_index() as index:
            yield Settings.from_environment(
                redis_host=self.services.redis_host,
                redis_port=self.services.redis_port,
                redis_password=self.services.redis_password,
                redis_db=index,
            )

    def gone(self) -> str | None:
        """If one of the servers does not answer any more: a sentence that says so."""
        database = urlsplit(self.services.database_url)
        places = {"Redis": (self.services.redis_host, self.services.redis_port)}
        if database.hostname:
            places["PostgreSQL"] = (database.hostname, database.port or 5432)
        for name, place in places.items():
            try:
                socket.create_connection(place, timeout=stretched(PATIENCE_SECONDS)).close()
            except OSError:
                return f"{name} is gone, on which these tests ran{self.whose}: run them again, it was not your code"
        return None

    @contextmanager
    def _database(self) -> Iterator[str]:
        name = left_over.new_database("test", self.run)
        with self._connection() as connection:
            self._make(connection, name)
            try:
                yield _with_database(self.services.database_url, name)
            finally:
                self._take_back(connection, name)

    def _make(self, connection: "psycopg.Connection[Any]", name: str) -> None:
        while self._emptied:
            emptied = self._emptied.pop()
            try:
                _rename(connection, emptied, name)
                return
            except psycopg.Error:
                drop(connection, emptied)
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(create.format(*map(sql.Identifier, (name, self.template))))

    def _take_back(self, connection: "psycopg.Connection[Any]", name: str) -> None:
        """Empty it under a name that nobody knows, so that what still runs does not come back; or drop it."""
        empty = left_over.new_database("empty", self.run)
        try:
            _rename(connection, name, empty)
        except psycopg.Error:
            drop(connection, name)
            return
        if self._is_emptied(empty):
            self._emptied.append(empty)
        else:
            drop(connection, empty)

    def _is_emptied(self, name: str) -> bool:
        """Delete all rows. Whether it is as good as new then."""
        try:
            with self._connection(name) as inside:
                if _shape(inside) != self._shape:
                    return False
                used = [sql.Identifier(table) for (table,) in inside.execute(USED)]
                if used:
                    inside.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(used)))
                return True
        except psycopg.Error:
            return False

    @cached_property
    def _shape(self) -> str:
        with self._connection(self.template) as inside:
            return _shape(inside)

    def close(self) -> None:
        """Drop the databases that wait to be used again, and give back what is still claimed."""
        with self._redis(0) as claims:
            left_over.give_back_claims(claims, self.run)
        with self._connection() as connection:
            while self._emptied:
                drop(connection, self._emptied.pop())

    def _connection(self, name: str | None = None) -> "psycopg.Connection[Any]":
        url = self.services.database_url
        return psycopg.connect(_with_database(url, name) if name else url, autocommit=True)

    @contextmanager
    def _redis_index(self) -> Iterator[int]:
        """An index that no other test run uses now: it is claimed in index 0, and emptied before and after."""
        with self._redis(0) as claims:
            index = self._claimed(claims)
            try:
                with self._redis(index) as redis:
                    redis.flushdb()
                    try:
                        yield index
                    finally:
                        redis.flushdb()
            finally:
                claims.delete(f"{CLAIM}{index}")

    def _claimed(self, claims: Redis) -> int:
        databases = int(claims.config_get("databases")["databases"] or 0)
        for index in range(1, databases):
            if claims.set(f"{CLAIM}{index}", self.run, nx=True, ex=CLAIM_SECONDS):
                return index
        raise EmbeddedError(
            f"All {databases - 1} indexes of Redis that tests may use are in use: end other test runs."
        )

    def sweep(self) -> None:
        """Take away what runs that live no more have left in Redis."""
        with self._redis(0) as claims:
            left_over.sweep_claims(claims, self._redis, self.run)

    def _redis(self, index: int) -> Redis:
        services = self.services
        return Redis(
            host=services.redis_host,
            port=services.redis_port,
            password=services.redis_password,
            db=index,
            client_name=left_over.client_name(self.run),
        )


_open: list[Servers] = []


def be_patient() -> None:
    """Give Redis more time than the scheduler does: on a loaded machine, half a second is not always enough."""
    redis_clients.COMMAND_SECONDS = stretched(PATIENCE_SECONDS)


@contextmanager
def servers(join: bool = False) -> Iterator[Servers]:
    """The servers to test on: given, joined or started. What this starts, it stops.

    With `join` those of a `scheduler up` are taken if one runs, as `TEST_SERVERS=joined` asks for. A test run inside a
    test run (the proofs do that) shares the servers of the outer one.
    """
    if _open:
        yield _open[0]
        return
    be_patient()
    with (
        _given_or(_start_both, join) as (services, whose),
        _unless_gone(Servers(services, "", "", whose)),
        psycopg.connect(services.database_url, autocommit=True) as connection,
        left_over.named(connection) as run,
        _template(services, connection, run) as template,
    ):
        _open.append(Servers(services, run, template, whose))
        _open[0].sweep()
        try:
            yield _open[0]
        finally:
            _open.pop().close()


@contextmanager
def redis_servers() -> Iterator[Servers]:
    """Servers of which only `redis_sandbox` is used: PostgreSQL is not started for it."""
    if _open:
        yield _open[0]
        return
    be_patient()
    with _given_or(_start_redis) as (services, whose):
        yield Servers(services, secrets.token_hex(4), "", whose)


@contextmanager
def _unless_gone(servers: Servers) -> Iterator[None]:
    """What can't be cleared up on a server that is gone is no error: the test that met it has said so."""
    try:
        yield
    except (psycopg.Error, RedisError, OSError):
        if servers.gone() is None:
            raise


Start = Callable[[Path], Embedded]


@contextmanager
def _given_or(start: Start, join: bool = False) -> Iterator[tuple[Services, str]]:
    """The servers that the environment names, or own ones; and whose they are, in words."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        redis = urlsplit(os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379"))
        own = Services(given, redis.hostname or "127.0.0.1", redis.port or 6379, redis.password or "")
        yield own, " (of TEST_DATABASE_URL and TEST_REDIS_URL)"
        return
    embedded.forget_other_servers()
    folder = embedded.default_folder()
    if (asked := os.environ.get("TEST_SERVERS", JOINED[0])) not in JOINED:
        raise EmbeddedError(f"TEST_SERVERS is {asked!r}: it may be {' or '.join(JOINED)}.")
    running = embedded.find(folder) if join or asked == "joined" else None
    if asked == "joined" and running is None:
        raise EmbeddedError(
            "TEST_SERVERS=joined, and no `scheduler up` runs to join: start one, or unset it."
        )
    if running is not None:
        yield running, " (those of a `scheduler up`, which has ended)"
        return
    with _own_servers(folder, start) as services:
        yield services, ""


JOINED = ("own", "joined")


def _start_both(folder: Path) -> Embedded:
    return embedded.start(folder, durable=False)


def _start_redis(folder: Path) -> Embedded:
    return embedded.start_redis(folder.with_name(f"{folder.name}-redis"))


@contextmanager
def _own_servers(folder: Path, start: Start) -> Iterator[Services]:
    """Embedded servers that this process starts. Joining those of another test run would lose them when it ends."""
    for number in range(MOST_RUNS):
        started = start(folder / f"tests-{number}")
        if started.owned:
            with started:
                yield started.services
            return
        started.close()
    raise EmbeddedError(
        f"{MOST_RUNS} test runs are under way in {folder} already: wait until one of them has ended."
    )


@contextmanager
def _template(services: Services, connection: "psycopg.Connection[Any]", run: str) -> Iterator[str]:
    name = left_over.new_database("template", run)
    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        with psycopg.connect(_with_database(services.database_url, name), autocommit=True) as inside:
            for change in changes():
                inside.execute(change.statement.encode())
        yield name
    finally:
        drop(connection, name)


END_SESSIONS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = %s AND backend_type = 'client backend'
"""
USED = """
    SELECT relname FROM pg_class WHERE relname IN ('tasks', 'task_attempts', 'db_tx_effects')
        AND relkind = 'r' AND (pg_relation_size(oid) > 0 OR reltuples <> -1)
"""
"""The tables that are not as they were made. To truncate one takes longer than most tests work on it."""
SHAPE = """
    SELECT format('table %s %s %s %s', oid, relnamespace, relkind, relname) AS thing FROM pg_class WHERE oid >= 16384
    UNION ALL
    SELECT format('column %s %s %s %s %s', attrelid, attname, atttypid, attnotnull, attisdropped)
        FROM pg_attribute WHERE attrelid >= 16384
    UNION ALL SELECT format('default %s %s', adrelid, pg_get_expr(adbin, adrelid)) FROM pg_attrdef
    UNION ALL SELECT format('index %s', pg_get_indexdef(indexrelid)) FROM pg_index WHERE indexrelid >= 16384
    UNION ALL
    SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT format('function %s', oid) FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT format('trigger %s %s', oid, tgenabled) FROM pg_trigger
    UNION ALL SELECT format('rule %s', oid) FROM pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT format('schema %s', oid) FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_'
    UNION ALL SELECT format('extension %s', oid) FROM pg_extension
    UNION ALL SELECT format('setting %s', setconfig) FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""All that a database holds besides rows. What PostgreSQL brings along has numbers below 16384."""


def _shape(connection: "psycopg.Connection[Any]") -> str:
    return "\n".join(sorted(thing for (thing,) in connection.execute(SHAPE)))


def _rename(connection: "psycopg.Connection[Any]", name: str, new: str) -> None:
    connection.execute(END_SESSIONS, [name])
    connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*map(sql.Identifier, (name, new))))


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
