"""Each test has a database of its own, as good as new, although most of them were somebody else's before."""

from uuid import uuid4

import psycopg
import pytest
from scheduler.config import Settings

from workbook.sandbox import Servers

INSERT = "INSERT INTO tasks (task_id, type) VALUES (%s, 'noop')"


def connect(settings: Settings) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(settings.database_conninfo(), autocommit=True)


def name_of(settings: Settings) -> str:
    return settings.database_conninfo().rpartition("/")[2]


def use(servers: Servers, statement: str, *params: object) -> str:
    """Run one statement in a sandbox, and return its database's name."""
    with servers.sandbox() as settings, connect(settings) as connection:
        connection.execute(statement.replace("DATABASE_NAME", name_of(settings)).encode(), params)
        return name_of(settings)


def test_the_next_database_is_empty_and_has_another_name(backends: Servers) -> None:
    first = use(backends, INSERT, uuid4())
    waiting = len(backends._emptied)
    with backends.sandbox() as settings, connect(settings) as connection:
        assert len(backends._emptied) == waiting - 1, "it is not the one that was used before"
        assert name_of(settings) != first
        assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


@pytest.mark.parametrize(
    "change",
    [
        "DROP INDEX tasks_created",
        "ALTER TABLE tasks ADD COLUMN more text",
        "ALTER TABLE tasks DROP CONSTRAINT status_is_known",
        "ALTER TABLE tasks ALTER COLUMN type SET DEFAULT 'noop'",
        "CREATE TABLE more (id int)",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA more",
        "ALTER DATABASE DATABASE_NAME SET timezone TO 'IST-5:30'",
    ],
)
def test_a_database_of_another_shape_is_used_no_more(backends: Servers, change: str) -> None:
    use(backends, "SELECT 1")
    waiting = len(backends._emptied)
    use(backends, change)
    assert len(backends._emptied) == waiting - 1


def test_who_still_holds_a_connection_is_out(backends: Servers) -> None:
    with backends.sandbox() as settings:
        left_behind = psycopg.connect(settings.database_conninfo())
        left_behind.execute(INSERT.encode(), [uuid4()])  # and no commit: the row is locked
    with pytest.raises(psycopg.OperationalError):
        left_behind.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        connect(settings)
    with backends.sandbox() as settings, connect(settings) as connection:
        assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
