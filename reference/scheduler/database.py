"""The database: a connection pool, three ways to run a statement, and the schema.

Every statement runs in autocommit, so `now()` is the statement's own time and no transaction is ever left open by
accident. Where several statements belong together, `Database.transaction` says so.
"""

import asyncio
import logging
import random
import select
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any, Self, TypeVar

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.string import TextLoader
from psycopg_pool import AsyncConnectionPool

from scheduler.config import Settings

log = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[DictRow]
Row = DictRow
Params = Sequence[Any] | None
T = TypeVar("T")

CONFLICTS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
"""SQLSTATE 40001 and 40P01: the database undid the statement because of another one. Running it again is the remedy."""

Unavailable = psycopg.OperationalError
"""Raised when the database is out of reach, or went away in mid-statement: then nobody knows whether it committed."""

ALREADY_THERE = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateObject,
)
"""SQLSTATE 23505, 42P07 and 42710: what two processes that create the same table at once may get."""

RERUNS = 10


def is_data_error(error: BaseException) -> bool:
    """Whether a statement failed for what it was given (SQLSTATE class 22, 23 or 54), so that no rerun can mend it."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in ("22", "23", "54")


class Database:
    """A pool of connections. Rows are dicts; conflicts with other statements are run again inside.

    Raises `Unavailable` when the database can't be reached within `database_wait_seconds`.
    """

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool

    @classmethod
    async def connect(cls, settings: Settings) -> Self:
        """Open a pool and apply the schema. Raises `Unavailable`, without the password, if nothing answers."""
        pool = AsyncConnectionPool(
            settings.database_conninfo(),
            connection_class=Connection,
            kwargs=CONNECTION,
            min_size=1,
            max_size=settings.database_pool_size,
            timeout=settings.database_wait_seconds,
            # A short patience makes the next caller start a fresh attempt, so that a database which
            # comes back is noticed within two seconds, however long it was away.
            reconnect_timeout=3,
            configure=_configure,
            check=_refuse_closed,
            open=False,
        )
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        await pool.open()
        database = cls(pool)
        try:
            await database.apply_schema()
        except BaseException:
            await pool.close()
            raise
        return database

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def fetch_all(self, sql: str, params: Params = None) -> list[Row]:
        """Run one statement and return its rows; none if it returns nothing."""

        async def once(connection: Connection) -> list[Row]:
            cursor = await connection.execute(sql.encode(), params)
            # Not `description`: that makes an object for each column, which costs more than many a row.
            return await cursor.fetchall() if cursor.rownumber is not None else []

        return await self._rerun_conflicts(once)

    async def fetch_one(self, sql: str, params: Params = None) -> Row | None:
        """Run one statement and return its first row, or None."""
        rows = await self.fetch_all(sql, params)
        return rows[0] if rows else None

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` in one transaction: all of it or nothing. After a conflict, all of `work` runs again."""

        async def once(connection: Connection) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self._rerun_conflicts(once)

    async def apply_schema(self) -> None:
        """Create what is missing. Safe to run twice, and by two processes at once."""
        for statement in statements():
            await self._create(statement)

    async def is_up(self) -> bool:
        """Whether the database answers."""
        try:
            return await self.fetch_one("SELECT 1") is not None
        except psycopg.Error:
            return False

    async def _create(self, statement: str) -> None:
        for _ in range(RERUNS):
            try:
                await self.fetch_all(statement)
                return
            except ALREADY_THERE:
                # Another process is creating the same thing: IF NOT EXISTS looks before it locks.
                await asyncio.sleep(random.uniform(0.01, 0.1))
        await self.fetch_all(statement)

    async def _rerun_conflicts(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        for turn in range(RERUNS):
            try:
                return await self._once(work)
            except CONFLICTS:
                await asyncio.sleep(random.uniform(0, 0.002 * 2**turn))
        return await self._once(work)

    async def _once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        task = asyncio.current_task()
        cancelled = task.cancelling() if task is not None else 0
        try:
            async with self._pool.connection() as connection:
                return await work(connection)
        finally:
            # psycopg waits with asyncio.wait_for, and before Python 3.12 that swallows a cancellation which comes
            # in the same turn of the loop as the reply. Its caller waits for the task to end.
            if task is not None and task.cancelling() > cancelled:
                raise asyncio.CancelledError


CONNECTION: dict[str, Any] = {
    "autocommit": True,
    "row_factory": dict_row,
    "connect_timeout": 3,
    "application_name": "scheduler",
    "options": "-c statement_timeout=30s",
    # A host that vanished without a word is noticed in seconds, not in the two hours of the TCP default.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


async def _configure(connection: Connection) -> None:
    # Payloads stay text: only a handler parses its own. JSON that jsonb holds can be more than Python's parser takes
    # (1e5000 comes back with 5,001 digits), and one such job must not fail the rows that are read with it.
    connection.adapters.register_loader("jsonb", TextLoader)


async def _refuse_closed(connection: Connection) -> None:
    # A server that restarts closes its connections, and the pool would hand out a dead one. Nobody speaks on a
    # connection that idles, so to look costs no round trip; if there is anything to read, it may be the goodbye.
    if _is_readable(connection.pgconn.socket):
        await connection.execute(b"")


def _is_readable(fileno: int) -> bool:
    if sys.platform == "win32":
        return bool(select.select([fileno], [], [], 0)[0])
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    return bool(poll.poll(0))


def statements() -> list[str]:
    """The statements of `schema.sql`, one by one."""
    script = files("scheduler").joinpath("schema.sql").read_text("utf-8")
    lines = (line.partition("--")[0].rstrip() for line in script.splitlines())
    return [statement for part in "\n".join(lines).split(";") if (statement := part.strip())]
