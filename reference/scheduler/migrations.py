"""The tables become what this version needs, while processes of this version and of earlier ones use them.

`schema.sql` is in versions, and a row of `schema_version` says which of them a database has. To look costs no lock. To
change costs one, and whoever waits for a lock makes all wait who come after: so only what is missing is changed, an
index of a table that is in use is built beside its writers, and no change waits long for anybody's transaction.
"""

import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import psycopg

from scheduler.connections import Connection
from scheduler.database import Database, TooSlow

log = logging.getLogger(__name__)

DDL_LOCK_SECONDS = 1
"""A change that waits longer for a lock gives up: all other statements queue up behind it."""

MAY_NOT = psycopg.errors.InsufficientPrivilege
"""SQLSTATE 42501: the role may use the tables, and not change them."""


class SchemaMissing(Exception):
    """The database lacks tables without which nothing works, and this role can't create them."""


class Change(NamedTuple):
    """One statement of `schema.sql`: what it makes, and in which version it came."""

    version: int
    name: str
    statement: str

    @property
    def beside_writers(self) -> str:
        """The statement for a table that is in use. It can't run in a transaction."""
        return re.sub(r"^CREATE (UNIQUE )?INDEX ", r"CREATE \1INDEX CONCURRENTLY ", self.statement)


@cache
def changes() -> Sequence[Change]:
    """The statements of `schema.sql`, in order."""
    script = files("scheduler").joinpath("schema.sql").read_text("utf-8")
    _, *parts = re.split(r"^-- version (\d+)$", script, flags=re.MULTILINE)
    return [
        Change(int(number), _name(statement), statement)
        for number, part in zip(parts[::2], parts[1::2], strict=True)
        for statement in _statements(part)
    ]


def _statements(script: str) -> list[str]:
    lines = (line.partition("--")[0].rstrip() for line in script.splitlines())
    return [statement for part in "\n".join(lines).split(";") if (statement := part.strip())]


def _name(statement: str) -> str:
    made = re.match(r"CREATE (?:TABLE|(?:UNIQUE )?INDEX) IF NOT EXISTS (\w+)", statement)
    assert made is not None, statement
    return made[1]


TURNS = "schema_version"
"""The table whose row 0 processes lock in turn."""

LATEST = changes()[-1].version
"""The version that this program makes. It gets on with each earlier one."""


async def migrate(db: Database, *, patient: bool = False) -> list[str]:
    """Change what is missing, and return its names. Safe to run twice, and by many processes at once.

    With `patient`, building an index may take as long as it takes. Raises psycopg's `InsufficientPrivilege` if the role
    may not, and `TooSlow` if somebody's transaction, or the size of a table, is in the way; what was done stays done.
    """
    made: list[str] = []
    if await version_of(db) >= LATEST:
        return made
    if missing := [change.name for change in await _missing(db)]:
        await db.apart(_make_turns)

        async def in_turn(connection: Connection) -> list[str]:
            # One process at a time: to another, an index that is being built looks like one whose building was broken
            # off. A row's lock, for CockroachDB has no advisory locks.
            await connection.execute(b"SELECT version FROM schema_version WHERE version = 0 FOR UPDATE")
            return await db.apart(lambda beside: _make_all(beside, patient))

        rest = await db.transaction(in_turn)
        made = [name for name in missing if name in rest or name == TURNS]
    await db.fetch_all(
        "INSERT INTO schema_version (version) SELECT v FROM generate_series(1, %s) AS v ON CONFLICT DO NOTHING",
        [LATEST],
    )
    return made


async def migrate_if_possible(db: Database) -> None:
    """As `migrate`, for a process that starts: it goes on without what it can't add, and says what that is.

    Raises `SchemaMissing` if tables are missing, without which nothing works.
    """
    try:
        if made := await migrate(db):
            log.info("the database has these now: %s", ", ".join(made))
    except (MAY_NOT, TooSlow) as error:
        missing = await _missing(db)
        names = ", ".join(change.name for change in missing)
        why = (
            "this role may not add them"
            if isinstance(error, MAY_NOT)
            else "somebody else's lock is in the way"
        )
        if any(change.version == 1 and change.statement.startswith("CREATE TABLE") for change in missing):
            raise SchemaMissing(
                f"the database lacks {names}, and {why}: run `scheduler migrate` as one who may"
            ) from None
        if names:
            log.warning(
                "the database lacks %s, and %s; it works without, slower: see `scheduler migrate`", names, why
            )
        else:
            log.warning("schema_version can't be written, and %s: see `scheduler migrate`", why)


async def version_of(db: Database) -> int:
    """Which version of the tables a database has; 0 if none is written down."""
    there = await db.fetch_one("SELECT to_regclass('schema_version') IS NOT NULL AS there")
    if not there or not there["there"]:
        return 0
    row = await db.fetch_one("SELECT max(version) AS version FROM schema_version")
    return int(row["version"] or 0) if row else 0


MISSING = """
    SELECT v.name FROM unnest(%s::text[]) AS v(name)
    LEFT JOIN pg_index AS i ON i.indexrelid = to_regclass(v.name)::oid
    WHERE to_regclass(v.name) IS NULL OR NOT i.indisvalid
"""
"""An index whose building was broken off stays, and is of no use."""


async def _missing(db: Database) -> list[Change]:
    rows = await db.fetch_all(MISSING, [[change.name for change in changes()]])
    names = {row["name"] for row in rows}
    return [change for change in changes() if change.name in names]


async def _make_turns(connection: Connection) -> None:
    [table] = [change for change in changes() if change.name == TURNS]
    await connection.execute(table.statement.encode())
    await connection.execute(b"INSERT INTO schema_version (version) VALUES (0) ON CONFLICT DO NOTHING")


async def _make_all(connection: Connection, patient: bool) -> list[str]:
    cursor = await connection.execute(MISSING.encode(), [[change.name for change in changes()]])
    names = {row["name"] for row in await cursor.fetchall()}
    fresh = changes()[0].name in names
    async with _limits(connection, patient):
        for change in changes():
            if change.name in names:
                await _make(connection, change, fresh)
    return [change.name for change in changes() if change.name in names]


@asynccontextmanager
async def _limits(connection: Connection, patient: bool) -> AsyncIterator[None]:
    """Wait no longer for a lock than is good for others, and put back what was set before."""
    if connection.prepare_threshold is None:
        # A pooler in transaction mode: the limits of this connection would be those of other clients, too.
        yield
        return
    before = []
    wanted = {"lock_timeout": f"{DDL_LOCK_SECONDS}s"} | ({"statement_timeout": "0"} if patient else {})
    for name, value in wanted.items():
        cursor = await connection.execute(f"SHOW {name}".encode())
        row = await cursor.fetchone()
        before.append((name, row[name] if row else "0"))
        await connection.execute(f"SET {name} TO '{value}'".encode())
    try:
        yield
    finally:
        if not connection.closed:
            for name, value in before:
                await connection.execute(f"SET {name} TO '{value}'".encode())


async def _make(connection: Connection, change: Change, fresh: bool) -> None:
    if fresh:
        await connection.execute(change.statement.encode())
        return
    if "INDEX" in change.statement:
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {change.name}".encode())
    await connection.execute(change.beside_writers.encode())
