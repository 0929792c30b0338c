"""The database: connections, three ways to run a statement, what can go wrong, and the schema.

Every statement runs in autocommit, so `now()` is the statement's own time and no transaction is ever left open by
accident. Where several statements belong together, `Database.transaction` says so.

What psycopg raises becomes this scheduler's own here, and nowhere else:

    DatabaseError        the database did not do it, and nothing is wrong with what it was asked
    ├── Unavailable      it is out of reach, or can't write
    │   └── Lost         it left in mid-statement: whoever can tell whether the statement was done runs it again
    ├── Busy             it answers, and all connections to it are in use
    ├── TooSlow          it took too long, or waited too long for a lock
    └── Conflict         other statements came in between, again and again
"""

import asyncio
import logging
import random
import select
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Self, TypeVar

import psycopg
from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from scheduler.config import Settings
from scheduler.connections import STATEMENT_SECONDS, Connection, configure, parameters

log = logging.getLogger(__name__)

Row = DictRow
Params = Sequence[Any] | None
T = TypeVar("T")

CONFLICTS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
"""SQLSTATE 40001 and 40P01: the database undid the statement because of another one. Running it again is the remedy."""

STALE = (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName)
"""SQLSTATE 0A000 and 26000: a prepared statement whose table has changed, or that the server has forgotten."""

ALREADY_THERE = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateObject,
)
"""SQLSTATE 23505, 42P07 and 42710: what two processes that create the same table at once may get."""

RERUNS = 10
ANSWER_SECONDS = STATEMENT_SECONDS + 5
"""A database that is silent for longer has stopped: it would have ended the statement by now."""
PROBE_SECONDS = 1.0


class DatabaseError(psycopg.OperationalError):
    """The database did not do it, and nothing is wrong with what it was asked: calling again may help."""


class Unavailable(DatabaseError):
    """The database is out of reach, or can't write."""


class Lost(Unavailable):
    """The connection was lost in mid-statement: nobody knows whether it was committed, or still will be."""


class Busy(DatabaseError):
    """The database answers, but all connections are in use: nothing was done."""


class TooSlow(DatabaseError):
    """A statement took too long, or waited too long for a lock: it was undone."""


class Conflict(DatabaseError):
    """Other statements came in between, however often this one was run again: it was undone."""


def is_data_error(error: BaseException) -> bool:
    """Whether a statement failed for what it was given (SQLSTATE class 22, 23 or 54), so that no rerun can mend it."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in ("22", "23", "54")


def _ours(error: psycopg.Error) -> psycopg.Error:
    """The `DatabaseError` that an error of psycopg stands for; the error itself if it stands for none."""
    state = error.sqlstate or ""
    if isinstance(error, (DatabaseError, *CONFLICTS)) or is_data_error(error):
        return error
    if state in ("57014", "55P03"):
        return TooSlow(str(error))
    # 40003: whether it committed is unknown. Without a state it is libpq that speaks: there is no connection any more.
    broken = not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if broken or state == "40003" or state[:2] == "08" or state.startswith("57P"):
        return Lost(str(error))
    # 25006: a standby, or a database that is set to be read only. Class 53: it has no memory, disk or connections.
    return Unavailable(str(error)) if state == "25006" or state[:2] == "53" else error


class Database:
    """A pool of connections. Rows are dicts; conflicts with other statements are run again inside.

    Raises a `DatabaseError`: `Unavailable` when the database can't be reached within `database_wait_seconds`, and the
    others as they say. What else psycopg raises goes through: it is about the statement or its data.
    """

    def __init__(self, pool: AsyncConnectionPool[Connection], probe: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool
        self._probe = probe
        """One connection that nobody else can take, so that whether the database answers can always be asked."""

    @classmethod
    async def connect(cls, settings: Settings, *, migrate: bool = True) -> Self:
        """Open the connections, and apply the schema unless `migrate` is False.

        Raises `Unavailable`, without the password, if nothing answers, and `SchemaMissing` as `apply_schema` does.
        """
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        database = cls(_pool(settings, settings.database_own_connections, 1), _pool(settings, 1, 1))
        try:
            await database._pool.open()
            await database._probe.open()
            if migrate:
                await database.apply_schema()
        except BaseException:
            await database.close()
            raise
        return database

    async def guests(self, settings: Settings) -> Self:
        """The same database over a few connections more, for whoever may hold one for long: see `App.guest`."""
        pool = _pool(settings, settings.database_guests, 0)
        await pool.open()
        return type(self)(pool, self._probe)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()
        await self._probe.close()

    async def fetch_all(self, sql: str, params: Params = None) -> list[Row]:
        """Run one statement and return its rows; none if it returns nothing."""

        async def once(connection: Connection) -> list[Row]:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    cursor = await connection.execute(sql.encode(), params)
                    # Not `description`: that makes an object for each column, which costs more than many a row.
                    return await cursor.fetchall() if cursor.rownumber is not None else []
            except TimeoutError:
                # psycopg asked the database to stop, and closes a connection on which nothing answers even that.
                raise (Lost if connection.closed else TooSlow)("no answer came") from None

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

    async def apart(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` without a transaction, over the connection that is kept aside: for changes of tables."""
        aside = type(self)(self._probe, self._probe)
        for _ in range(RERUNS):
            try:
                return await aside._rerun_conflicts(work)
            except ALREADY_THERE:
                # Another process is creating the same thing: IF NOT EXISTS looks before it locks.
                await asyncio.sleep(random.uniform(0.01, 0.1))
        return await aside._rerun_conflicts(work)

    async def apply_schema(self) -> None:
        """Create what is missing, as far as this role may. Safe to run twice, and by two processes at once.

        Raises `SchemaMissing` if the tables are missing.
        """
        from scheduler.migrations import migrate_if_possible

        await migrate_if_possible(self)

    async def is_up(self, seconds: float | None = None) -> bool:
        """Whether the database answers, and can write. It is asked over a connection that is kept for this question.

        `seconds` is how long to wait for that connection; left out, as long as for any other.
        """
        try:
            async with self._probe.connection(seconds) as connection, asyncio.timeout(ANSWER_SECONDS):
                cursor = await connection.execute(b"SHOW transaction_read_only")
                row = await cursor.fetchone()
                if row is None or row["transaction_read_only"] != "off":
                    await connection.close()
                    return False
                return True
        except (psycopg.Error, TimeoutError):
            return False

    async def _rerun_conflicts(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        for turn in range(RERUNS):
            try:
                return await self._once(work)
            except CONFLICTS:
                await asyncio.sleep(random.uniform(0, 0.002 * 2**turn))
        try:
            return await self._once(work)
        except CONFLICTS as error:
            raise Conflict(str(error)) from error

    async def _once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        task = asyncio.current_task()
        cancelled = task.cancelling() if task is not None else 0
        try:
            async with self._pool.connection() as connection:
                return await self._on(connection, work)
        except PoolTimeout as error:
            if await self.is_up(min(PROBE_SECONDS, self._pool.timeout)):
                raise Busy(str(error)) from error
            raise Unavailable(str(error)) from error
        except psycopg.Error as error:
            if (ours := _ours(error)) is error:
                raise
            raise ours from error
        finally:
            # psycopg waits with asyncio.wait_for, and before Python 3.12 that swallows a cancellation which comes
            # in the same turn of the loop as the reply. Its caller waits for the task to end.
            if task is not None and task.cancelling() > cancelled:
                raise asyncio.CancelledError

    async def _on(self, connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            try:
                return await work(connection)
            except STALE:
                # A migration changed the table since the statement was prepared. psycopg sees this, and forgets all
                # that it has prepared here, so that it prepares anew.
                await connection.execute(b"DEALLOCATE ALL")
                return await work(connection)
        except psycopg.Error as error:
            if not isinstance(error, DatabaseError) and isinstance(_ours(error), Unavailable):
                # The pool puts a fresh one in its place. This one may lead to a server that can't write any more.
                await connection.close()
            raise


def _pool(settings: Settings, size: int, idle: int) -> AsyncConnectionPool[Connection]:
    return AsyncConnectionPool(
        settings.database_conninfo(),
        connection_class=Connection,
        kwargs=parameters(settings),
        min_size=idle,
        max_size=size,
        timeout=settings.database_wait_seconds,
        # A short patience makes the next caller start a fresh attempt, so that a database which
        # comes back is noticed within two seconds, however long it was away.
        reconnect_timeout=3,
        configure=partial(configure, pooler=settings.database_pooler),
        check=_refuse_closed,
        open=False,
    )


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
