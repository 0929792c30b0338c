"""A database that does not do what it is asked, and what a client is told of that."""

from typing import Any

import psycopg

from workbook.judge import Side
from workbook.loop import Hang

AWAY = 'connection to server at "10.0.0.7", port 5432 failed: password=hunter2 in SELECT * FROM tasks'
FAILURES = (
    psycopg.OperationalError(AWAY),
    psycopg.errors.AdminShutdown(AWAY),
    psycopg.errors.CannotConnectNow(AWAY),
    psycopg.errors.ConnectionFailure(AWAY),
    psycopg.errors.TooManyConnections(AWAY),
    psycopg.errors.UndefinedTable(AWAY),
    psycopg.errors.UndefinedColumn(AWAY),
    psycopg.errors.SyntaxError(AWAY),
    psycopg.errors.InsufficientPrivilege(AWAY),
    psycopg.errors.InternalError_(AWAY),
    psycopg.errors.InvalidTextRepresentation(AWAY),
)
"""The database out of reach in several ways, and then statements that it refuses."""


def status_of(side: Side, method: str, **asked: Any) -> Any:
    """The status alone; an error that went through is a fault of the server, and in its log."""
    try:
        got = side.call(method, **asked).value
    except (NotImplementedError, Hang):
        raise
    except Exception:
        return "INTERNAL, and the error in the log"
    return got if isinstance(got, str) else "OK"
