"""Migrations: only what is missing is changed, beside others' transactions, from the schema of the first version on."""

import asyncio
import logging
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from pydantic import SecretStr
from scheduler import migrations
from scheduler.app import open_app
from scheduler.database import Database, TooSlow
from scheduler.jobs import NewJob, Status
from scheduler.migrations import SchemaMissing, changes, migrate, version_of
from scheduler.parts import reference
from scheduler.worker.service import running_worker

from tests.faults.tools import short_pops
from tests.helpers import submit, until_status

__all__ = ["short_pops"]

pytestmark = pytest.mark.timeout(120)

VERSION_1 = Path(__file__).parents[1] / "schemas" / "version_1.sql"
LATEST = changes()[-1].version
LATER = [change.name for change in changes() if change.version > 1]


@pytest.fixture
async def db(settings):
    """A database without anything in it."""
    database = await Database.connect(settings, migrate=False)
    await database.fetch_all("DROP TABLE tasks, task_attempts, db_tx_effects, schema_version")
    yield database
    await database.close()


@pytest.fixture
async def old(db):
    """A database with the schema of the first version, and a job in it."""
    async with db._pool.connection() as connection:
        await connection.execute(VERSION_1.read_bytes())
    await db.fetch_all("INSERT INTO tasks (task_id, type) VALUES (%s, 'noop')", [uuid4()])
    return db


SHAPE = """
    SELECT indexdef AS thing FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT format('%s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
"""


async def shape(db):
    return sorted(row["thing"] for row in await db.fetch_all(SHAPE))


@asynccontextmanager
async def open_transaction(db, statement="UPDATE tasks SET type = type WHERE false"):
    """Somebody's transaction, left open: it holds a lock of the table that stops every CREATE INDEX."""
    async with db._pool.connection() as connection, connection.transaction():
        await connection.execute(statement.encode())
        yield


async def test_an_old_database_becomes_the_same_as_a_new_one(old, backends):
    assert await version_of(old) == 0
    assert await migrate(old) == LATER
    assert await version_of(old) == LATEST
    with backends.sandbox() as settings:
        new = await Database.connect(settings)
        try:
            assert await shape(old) == await shape(new)
        finally:
            await new.close()
    assert len(await old.fetch_all("SELECT task_id FROM tasks")) == 1


async def test_an_empty_database_gets_everything(db):
    assert await migrate(db) == [change.name for change in changes()]
    assert await migrate(db) == []


async def test_the_first_version_in_the_script_is_what_was_once_released(old, db):
    assert {change.name for change in await migrations._missing(old)} == set(LATER)


async def test_what_one_version_has_is_never_changed_later():
    """A database that has a version is not looked at again, so a change belongs into a new version."""
    released = VERSION_1.read_text("utf-8")
    first = [change.statement for change in changes() if change.version == 1]
    assert first == migrations._statements(released)


async def test_a_start_changes_nothing_if_nothing_is_missing(old, settings):
    await migrate(old)
    async with open_transaction(old, "LOCK TABLE tasks, task_attempts, schema_version IN SHARE MODE"):
        # Any DDL, IF NOT EXISTS included, would wait here for ever.
        again = await Database.connect(settings)
        await again.close()


async def test_a_start_beside_an_open_transaction_stops_no_writer(old, settings, caplog):
    """The index can't be built while the transaction is open; jobs go on meanwhile, and so does the process."""
    async with open_transaction(old):
        starting = asyncio.create_task(Database.connect(settings))
        writes = 0
        while not starting.done():
            await old.fetch_all("INSERT INTO tasks (task_id, type) VALUES (%s, 'noop')", [uuid4()])
            writes += 1
        started = await starting
        await started.close()
    assert writes > 0
    [said] = [record.getMessage() for record in caplog.records if record.name == migrations.__name__]
    assert "tasks_priority_status_created" in said
    assert "scheduler migrate" in said


async def test_an_index_whose_building_was_broken_off_is_built_anew(old):
    async with open_transaction(old):
        with pytest.raises(TooSlow):
            await migrate(old)
    left = await old.fetch_all("SELECT 1 FROM pg_index WHERE NOT indisvalid")
    assert left, "an index that is of no use stays"
    await migrate(old)
    assert not await old.fetch_all("SELECT 1 FROM pg_index WHERE NOT indisvalid")
    assert await version_of(old) == LATEST


async def test_the_limits_of_a_connection_are_its_own_again_after_a_migration(old):
    async def limits(connection):
        found = []
        for name in ("lock_timeout", "statement_timeout"):
            cursor = await connection.execute(f"SHOW {name}")
            found.append(await cursor.fetchone())
        return found

    before = await old.apart(limits)
    await migrate(old, patient=True)
    assert await old.apart(limits) == before


async def test_behind_a_pooler_a_migration_sets_no_limit_that_others_would_meet():
    class Pooled:
        prepare_threshold = None

        async def execute(self, *_):
            raise AssertionError("the next transaction may be another client's")

    async with migrations._limits(Pooled(), patient=True):
        pass


async def test_many_processes_may_migrate_at_once(old, settings):
    opened = await asyncio.gather(*[Database.connect(settings) for _ in range(6)])
    await asyncio.gather(*[database.close() for database in opened])
    await migrate(old)
    assert not await migrations._missing(old)


async def test_a_newer_version_s_database_is_left_alone(old, settings):
    await migrate(old)
    await old.fetch_all("INSERT INTO schema_version (version) VALUES (%s)", [LATEST + 1])
    await old.fetch_all("DROP INDEX tasks_priority_status_created")
    again = await Database.connect(settings)
    await again.close()
    assert [change.name for change in await migrations._missing(old)] == ["tasks_priority_status_created"]


# --- a role that may not


@pytest.fixture
async def limited(db, settings):
    """Settings of a role that may use the tables there are, and create none."""
    role = f"limited_{uuid4().hex[:8]}"
    async with db._pool.connection() as connection:
        await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'word'".encode())
    url = urlsplit(settings.database_conninfo())
    mine = urlunsplit(url._replace(netloc=f"{role}:word@{url.netloc.rpartition('@')[2]}"))
    yield role, settings.model_copy(update={"database_url": SecretStr(mine)})
    await db.fetch_all(f"DROP OWNED BY {role}")
    await db.fetch_all(f"DROP ROLE {role}")


async def grant(db, role):
    await db.fetch_all(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")


async def test_a_role_that_may_not_create_tables_starts_if_they_are_there(db, limited):
    role, theirs = limited
    await migrate(db)
    await grant(db, role)
    async with open_app(theirs, reference()) as app:
        assert await submit(app)


async def test_a_role_that_may_not_create_tables_starts_on_old_ones_and_says_what_is_missing(
    old, limited, caplog
):
    role, theirs = limited
    await grant(old, role)
    async with open_app(theirs, reference()) as app:
        assert await submit(app)
    [said] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert all(name in said for name in LATER)
    assert "may not" in said
    assert "scheduler migrate" in said


async def test_a_role_that_may_not_create_tables_is_told_so_if_there_are_none(db, limited):
    _, theirs = limited
    with pytest.raises(SchemaMissing, match=r"lacks tasks, .*scheduler migrate"):
        await Database.connect(theirs)


# --- the command


async def command(settings):
    environment = {**os.environ, "DATABASE_URL": settings.database_conninfo(), "REDIS_HOST": "127.0.0.1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "scheduler",
        "migrate",
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_command_adds_what_is_missing_and_says_what(old, settings):
    assert await command(settings) == (0, f"added {', '.join(LATER)}\n", "")
    assert await command(settings) == (0, "nothing is missing\n", "")


async def test_the_command_says_when_the_role_may_not(old, limited):
    role, theirs = limited
    await grant(old, role)
    code, out, err = await command(theirs)
    assert (code, out) == (1, "")
    assert "this role may not change the tables" in err


# --- a rolling upgrade


# What processes of the first version send, most of it with every column that there is.
OF_VERSION_1 = [
    "SELECT * FROM tasks WHERE task_id = %(id)s",
    """UPDATE tasks SET status='running', attempts=attempts+1, worker='old/1', started_at=now(), pushed_at=NULL,
       lease_expires_at=now()+interval '15 seconds', version=version+1, updated_at=now()
       WHERE task_id=%(id)s AND status='queued' RETURNING *""",
    """WITH done AS (UPDATE tasks SET status='succeeded', worker=NULL, lease_expires_at=NULL, finished_at=now(),
       version=version+1, updated_at=now() WHERE task_id=%(id)s AND status='running' RETURNING *),
       written AS (INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error)
       SELECT task_id, attempts, started_at, now(), true, last_error FROM done) SELECT * FROM done""",
]


async def test_jobs_of_old_and_new_processes_run_on_while_the_tables_are_upgraded(old, settings):
    """An old process goes on with its prepared statements, and a new one with its own, while a third migrates."""
    async with await psycopg.AsyncConnection.connect(
        settings.database_conninfo(), autocommit=True, prepare_threshold=1
    ) as connection:

        async def job_of_an_old_process():
            task_id = uuid4()
            await connection.execute("INSERT INTO tasks (task_id, type) VALUES (%s, 'noop')", [task_id])
            for statement in OF_VERSION_1:
                await connection.execute(statement.encode(), {"id": task_id})
            return task_id

        before = [await job_of_an_old_process() for _ in range(4)]
        async with open_app(settings, reference()) as app, running_worker(settings, reference()):
            new = [await app.parts.submit_job(app, NewJob("noop")) for _ in range(4)]
            after = [await job_of_an_old_process() for _ in range(4)]
            for task_id in [*before, *new, *after]:
                await until_status(app, task_id, Status.SUCCEEDED)
        assert await version_of(old) == LATEST
