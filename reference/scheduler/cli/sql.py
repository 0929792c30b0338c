"""`scheduler sql`: SQL for the scheduler's database, answered as psql answers."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli.failures import Misused, Refused, expected, first_line
from scheduler.cli.show import say

if TYPE_CHECKING:
    from psycopg import Cursor

    from scheduler.cli.psql import Cell

CHANGES = ("INSERT", "UPDATE", "DELETE", "MERGE")


def sql(
    statement: Annotated[
        str,
        typer.Argument(
            metavar="STATEMENT",
            help="The SQL; left out, it is read from standard input.",
            show_default=False,
        ),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the rows as a JSON array of objects.")
    ] = False,
) -> None:
    """Run SQL, and show the answer as psql does.

    It goes to the database of DATABASE_URL (or COCKROACHDB_HOST), else to that
    of a running `scheduler up`. Several statements run as one transaction.

    Examples:

      scheduler sql "SELECT task_id, status, attempts FROM tasks"
      scheduler sql "SELECT status, count(*) FROM tasks GROUP BY status"
      scheduler sql --json "SELECT * FROM task_attempts" | jq .
      scheduler sql < queries.sql
    """
    from scheduler.cli import services

    with expected():
        settings = services.found_database()
    _run(settings.database_conninfo(), statement or _from_stdin(), as_json)


def _from_stdin() -> str:
    if sys.stdin.isatty():
        raise Misused('give a STATEMENT, such as "SELECT * FROM tasks"')
    return sys.stdin.read()


def _run(conninfo: str, statement: str, as_json: bool) -> None:
    import psycopg

    try:
        with psycopg.connect(
            conninfo,
            autocommit=True,
            connect_timeout=3,
            application_name="scheduler sql",
            client_encoding="UTF8",
        ) as connection:
            connection.add_notice_handler(_show_notice)
            if as_json:  # it reads the values; a table shows them as the database writes them
                connection.execute(b"SET datestyle TO 'ISO'")
            cursor = connection.execute(statement.encode())
            if as_json:
                say(json.dumps(_objects(cursor), default=str))
                return
            for line in _answers(cursor):
                say(line)
    except psycopg.OperationalError as error:
        if error.sqlstate is None:
            raise Refused(f"the database can't be reached: {first_line(error)}") from None
        _show_error(error)
    except psycopg.Error as error:
        _show_error(error)


def _show_notice(notice: Any) -> None:
    typer.echo(f"{notice.severity}:  {notice.message_primary}", err=True)


def _show_error(error: Any) -> None:
    typer.echo(f"{error.diag.severity or 'ERROR'}:  {_text(error)}", err=True)
    raise typer.Exit(1)


def _text(error: Exception) -> str:
    return str(error).rstrip("\n")


def _answers(cursor: "Cursor[Any]") -> Iterator[str]:
    """What each statement answered: a table, what it did, or both."""
    from scheduler.cli.psql import NUMBERS, Column, table

    while True:
        result = cursor.pgresult
        if cursor.description is not None:
            columns = [Column(column.name, column.type_code in NUMBERS) for column in cursor.description]
            yield from table(columns, list(_rows(result)))
            yield ""
        tag = cursor.statusmessage or ""
        if tag and (cursor.description is None or tag.startswith(CHANGES)):
            yield tag
        if not cursor.nextset():
            return


def _rows(result: Any) -> Iterator[list["Cell"]]:
    """The rows as the database wrote them: as text, before anything makes Python values of it."""
    for row in range(result.ntuples):
        values = (result.get_value(row, column) for column in range(result.nfields))
        yield [None if value is None else value.decode(errors="replace") for value in values]


def _objects(cursor: "Cursor[Any]") -> list[dict[str, Any]]:
    """The rows of the last statement that answers with rows."""
    found: list[dict[str, Any]] = []
    while True:
        if cursor.description is not None:
            names = [column.name for column in cursor.description]
            found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        if not cursor.nextset():
            return found
