"""A database and a Redis index of one's own, for one test, on servers that are real.

The servers are those that `scheduler up` is running, if it is; else embedded ones, started once a run in a folder of
their own and made for tests (fast, and careless about power cuts). Or those that TEST_DATABASE_URL and TEST_REDIS_URL
name: give a server where tests may create databases, and a Redis whose indexes above 0 are theirs.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from redis import Redis
from scheduler import embedded, redis_clients
from scheduler.config import Settings
from scheduler.database import statements
from scheduler.embedded import EmbeddedError, Services

FAST: dict[str, Any] = {
    "grpc_port": 0,
    "metrics_port": 0,
    "watch_poll_seconds": 0.1,
    "poll_seconds": 0.02,
    "reconcile_seconds": 0.1,
    "reconcile_age_seconds": 2,
    "retry_base_seconds": 0.01,
    "retry_cap_seconds": 0.05,
    "shutdown_grace_seconds": 5,
}
"""Settings under which no test waits a second for anything."""

CLAIM_SECONDS = 600
MOST_RUNS = 16
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Servers:
    """Two running servers, and a database that holds nothing but the schema, from which others are copied."""

    services: Services
    template: str

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
    def _database(self) -> Iterator[str]:
        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(self.services.database_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (name, self.template)))
            )
            try:
                yield _with_database(self.services.database_url, name)
            finally:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def _redis_index(self) -> Iterator[int]:
        """An index that no other test run uses now: it is claimed in index 0, and emptied before and after."""
        with self._redis(0) as claims:
            databases = int(claims.config_get("databases")["databases"])
            index = next(
                index
                for index in range(1, databases)
                if claims.set(f"test-index:{index}", os.getpid(), nx=True, ex=CLAIM_SECONDS)
            )
            try:
                with self._redis(index) as redis:
                    redis.flushdb()
                    yield index
                    redis.flushdb()
            finally:
                claims.delete(f"test-index:{index}")

    def _redis(self, index: int) -> Redis:
        services = self.services
        return Redis(
            host=services.redis_host, port=services.redis_port, password=services.redis_password, db=index
        )


_open: list[Servers] = []


def be_patient() -> None:
    """Give Redis more time than the scheduler does: on a loaded machine, half a second is not always enough."""
    redis_clients.COMMAND_SECONDS = PATIENCE_SECONDS


@contextmanager
def servers() -> Iterator[Servers]:
    """The servers to test on: given, joined or started. What this starts, it stops.

    A test run inside a test run (the proofs do that) shares the servers of the outer one.
    """
    if _open:
        yield _open[0]
        return
    be_patient()
    with _services() as services, _template(services) as template:
        _open.append(Servers(services, template))
        try:
            yield _open[0]
        finally:
            _open.clear()


@contextmanager
def _services() -> Iterator[Services]:
    if given := os.environ.get("TEST_DATABASE_URL"):
        redis = urlsplit(os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379"))
        yield Services(given, redis.hostname or "127.0.0.1", redis.port or 6379, redis.password or "")
        return
    folder = embedded.default_folder()
    if running := embedded.find(folder):
        yield running
        return
    with _own_servers(folder) as services:
        yield services


@contextmanager
def _own_servers(folder: Path) -> Iterator[Services]:
    """Embedded servers that this process starts. Joining those of another test run would lose them when it ends."""
    for number in range(MOST_RUNS):
        started = embedded.start(folder / f"tests-{number}", durable=False)
        if started.owned:
            with started:
                yield started.services
            return
        started.close()
    raise EmbeddedError(
        f"{MOST_RUNS} test runs are under way in {folder} already: wait until one of them has ended."
    )


@contextmanager
def _template(services: Services) -> Iterator[str]:
    name = f"template_{secrets.token_hex(6)}"
    identifier = sql.Identifier(name)
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
        try:
            with psycopg.connect(_with_database(services.database_url, name), autocommit=True) as inside:
                for statement in statements():
                    inside.execute(statement.encode())
            yield name
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
