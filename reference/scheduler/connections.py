"""How each connection to the database is made, whatever stands between it and us, and however a shell has set libpq."""

import os
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg.types.string import TextLoader

from scheduler.config import Settings

Connection = psycopg.AsyncConnection[DictRow]

STATEMENT_SECONDS = 30
"""The database ends a statement that takes longer."""
LOCK_SECONDS = 10
"""And one that waits longer for somebody else's lock."""
LIMITS = {"statement_timeout": f"{STATEMENT_SECONDS}s", "lock_timeout": f"{LOCK_SECONDS}s"}


def parameters(settings: Settings) -> dict[str, Any]:
    """What psycopg is given beside the address. It goes before what libpq's own variables (PG…) say."""
    given: dict[str, Any] = {
        "autocommit": True,
        "row_factory": dict_row,
        "connect_timeout": 3,
        "application_name": "scheduler",
        "client_encoding": "UTF8",
        # A database that can't write counts as away. With several hosts in the address, libpq finds the one that can.
        "target_session_attrs": "read-write",
        # A host that vanished without a word is noticed in seconds, not in the two hours of the TCP default.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    if settings.database_pooler == "none":
        given["options"] = _options(settings)
    if settings.database_pooler == "transaction":
        # The next transaction may get another connection, which knows nothing of a statement that was prepared.
        given["prepare_threshold"] = None
    return given


async def configure(connection: Connection, pooler: str) -> None:
    """Make a new connection ready: what can't be said while connecting, or was said differently by somebody else."""
    # Payloads stay text: only a handler parses its own. JSON that jsonb holds can be more than Python's parser takes
    # (1e5000 comes back with 5,001 digits), and one such job must not fail the rows that are read with it.
    connection.adapters.register_loader("jsonb", TextLoader)
    if not (connection.pgconn.parameter_status(b"DateStyle") or b"").startswith(b"ISO"):
        # PGDATESTYLE, or ALTER ROLE … SET datestyle: psycopg reads times in this form alone.
        await connection.execute(b"SET datestyle TO 'ISO'")
    if pooler == "session":
        # PgBouncer refuses `options`. In transaction mode these would be other clients' limits too: there the role
        # has them (docs/deploy.md).
        for name, value in LIMITS.items():
            await connection.execute(f"SET {name} TO '{value}'".encode())


def _options(settings: Settings) -> str:
    """Our limits, then what the address or PGOPTIONS asks for, which may set others: what comes later wins."""
    theirs = conninfo_to_dict(settings.database_conninfo()).get("options") or os.environ.get("PGOPTIONS", "")
    ours = " ".join(f"-c {name}={value}" for name, value in LIMITS.items())
    return f"{ours} {theirs}".strip()
