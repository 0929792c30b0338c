"""The database: the schema, conflicts that are run again, connections that died, and rows that are refused."""

import asyncio
import re
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from pydantic import SecretStr
from scheduler import connections
from scheduler import database as module
from scheduler.app import open_app
from scheduler.database import (
    RERUNS,
    Busy,
    Conflict,
    Database,
    DatabaseError,
    TooSlow,
    Unavailable,
    is_data_error,
)
from scheduler.errors import status_of
from scheduler.migrations import changes
from scheduler.parts import reference

from tests.helpers import until
from tests.patience import within
from tests.proxies import proxied_database


@pytest.fixture
async def db(settings):
    database = await Database.connect(settings)
    yield database
    await database.close()


@pytest.fixture
async def one(settings):
    """A database whose pool has a single connection."""
    database = await Database.connect(settings.model_copy(update={"database_pool_size": 1}))
    yield database
    await database.close()


@pytest.fixture(scope="module")
def shared_settings(backends):
    with backends.sandbox() as own:
        yield own


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(shared_settings):
    """One database for all the tests that leave nothing behind."""
    database = await Database.connect(shared_settings)
    yield database
    await database.close()


on_shared = pytest.mark.asyncio(loop_scope="module")


async def insert(db, **columns):
    columns = {"task_id": uuid4(), "type": "noop", **columns}
    names = ", ".join(columns)
    places = ", ".join(["%s"] * len(columns))
    return await db.fetch_one(
        f"INSERT INTO tasks ({names}) VALUES ({places}) RETURNING *", list(columns.values())
    )


# --- schema


async def empty(db):
    await db.fetch_all("DROP TABLE IF EXISTS tasks, task_attempts, db_tx_effects, schema_version")


async def tables(db):
    rows = await db.fetch_all("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows}


ALL_TABLES = {"tasks", "task_attempts", "db_tx_effects", "schema_version"}


async def test_the_schema_is_applied_on_connecting(db, settings):
    await empty(db)
    other = await Database.connect(settings)
    await other.close()
    assert await tables(db) == ALL_TABLES


async def test_the_schema_can_be_applied_again_and_keeps_what_is_there(db):
    row = await insert(db)
    for _ in range(3):
        await db.apply_schema()
    assert await db.fetch_one("SELECT * FROM tasks") == row


async def test_the_schema_can_be_applied_by_many_processes_at_once(db, settings):
    for _ in range(5):
        await empty(db)
        opened = await asyncio.gather(*[Database.connect(settings) for _ in range(8)])
        await asyncio.gather(*[database.close() for database in opened])
        assert await tables(db) == ALL_TABLES
        await insert(db)


def test_the_script_falls_into_statements_without_their_comments():
    found = changes()
    assert all(one.statement.startswith("CREATE ") for one in found)
    assert not any("--" in one.statement or ";" in one.statement for one in found)
    assert sum(one.statement.startswith("CREATE TABLE") for one in found) == 4
    assert all(f"IF NOT EXISTS {one.name} " in one.statement for one in found)
    assert [one.version for one in found] == sorted(one.version for one in found)


async def test_the_plain_insert_of_a_learner_is_legal(db):
    row = await db.fetch_one("INSERT INTO tasks (task_id, type) VALUES (%s, 'noop') RETURNING *", [uuid4()])
    assert (row["status"], row["priority"], row["payload"]) == ("queued", "default", "{}")
    assert (row["attempts"], row["max_attempts"], row["version"]) == (0, 3, 1)
    assert row["created_at"] == row["updated_at"] == row["queued_at"] == row["pushed_at"]


IMPOSSIBLE = {
    "status_is_known": {"status": "paused", "pushed_at": None},
    "priority_is_known": {"priority": "urgent"},
    "attempts_are_not_negative": {"attempts": -1},
    "max_attempts_are_positive": {"max_attempts": 0},
    "version_is_positive": {"version": 0},
    "only_a_queued_job_has_pushed_at": {"status": "cancelled", "finished_at": "now", "pushed_at": "now"},
    "queued_job_has_pushed_at": {"pushed_at": None},
    "running_job_has_a_lease": {"status": "running", "attempts": 1, "started_at": "now", "pushed_at": None},
    "running_job_has_started_at": {
        "status": "running",
        "attempts": 1,
        "lease_expires_at": "now",
        "pushed_at": None,
    },
    "running_job_has_an_attempt": {
        "status": "running",
        "started_at": "now",
        "lease_expires_at": "now",
        "pushed_at": None,
    },
    "retry_job_has_next_run_at": {"status": "retry", "pushed_at": None},
    "finished_job_has_finished_at": {"status": "failed", "pushed_at": None},
}
ALSO_IMPOSSIBLE = [
    ("running_job_has_a_lease", {"lease_expires_at": "now"}),
    ("retry_job_has_next_run_at", {"next_run_at": "now"}),
    ("finished_job_has_finished_at", {"finished_at": "now"}),
    ("finished_job_has_finished_at", {"status": "succeeded", "pushed_at": None}),
    ("finished_job_has_finished_at", {"status": "deadletter", "pushed_at": None}),
    ("finished_job_has_finished_at", {"status": "cancelled", "pushed_at": None}),
]


@on_shared
@pytest.mark.parametrize(("constraint", "columns"), [*IMPOSSIBLE.items(), *ALSO_IMPOSSIBLE])
async def test_an_impossible_row_is_refused_by_the_sentence_that_it_breaks(shared, constraint, columns):
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        await insert(shared, **columns)
    assert caught.value.diag.constraint_name == constraint


@on_shared
async def test_every_constraint_is_proven_here(shared):
    rows = await shared.fetch_all(
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = 'tasks'::regclass"
    )
    assert {row["conname"] for row in rows} == set(IMPOSSIBLE)


async def test_two_jobs_can_not_have_one_key_but_many_can_have_none(db):
    await insert(db, idempotency_key="k")
    await insert(db)
    await insert(db)
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        await insert(db, idempotency_key="k")
    assert caught.value.diag.constraint_name == "tasks_idempotency_key"


async def test_an_attempt_is_written_once(db):
    task_id = uuid4()
    sql = "INSERT INTO task_attempts VALUES (%s, 1, now(), now(), true, NULL)"
    await db.fetch_all(sql, [task_id])
    with pytest.raises(psycopg.errors.UniqueViolation):
        await db.fetch_all(sql, [task_id])


INDEXES = {
    "tasks_pushed": ("(priority, pushed_at)", "(pushed_at IS NOT NULL)"),
    "tasks_lease": ("(lease_expires_at)", "(lease_expires_at IS NOT NULL)"),
    "tasks_due": ("(next_run_at)", "(next_run_at IS NOT NULL)"),
    "tasks_idempotency_key": ("(idempotency_key)", "(idempotency_key IS NOT NULL)"),
    "tasks_created": ("(created_at, task_id)", None),
    "tasks_status_created": ("(status, created_at, task_id)", None),
    "tasks_type_created": ("(type, created_at, task_id)", None),
    "tasks_priority_status_created": ("(priority, status, created_at, task_id)", None),
    "tasks_type_priority_status_created": ("(type, priority, status, created_at, task_id)", None),
}


@on_shared
@pytest.mark.parametrize("name", INDEXES)
async def test_an_index_is_that_of_the_design(shared, name):
    columns, condition = INDEXES[name]
    row = await shared.fetch_one("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [name])
    assert columns in row["indexdef"]
    assert row["indexdef"].partition(" WHERE ")[2] == (condition or "")
    assert ("UNIQUE" in row["indexdef"]) == (name == "tasks_idempotency_key")


# --- statements


@on_shared
async def test_rows_are_dicts(shared):
    assert await shared.fetch_one("SELECT 1 AS a, %s::text AS b", ["x"]) == {"a": 1, "b": "x"}
    assert await shared.fetch_all("SELECT n FROM generate_series(1, 3) n") == [{"n": 1}, {"n": 2}, {"n": 3}]


@on_shared
async def test_nothing_found_is_none_and_an_empty_list(shared):
    assert await shared.fetch_one("SELECT 1 WHERE false") is None
    assert await shared.fetch_all("SELECT 1 WHERE false") == []
    assert await shared.fetch_all("UPDATE tasks SET type = 'x'") == []
    assert await shared.fetch_one("UPDATE tasks SET type = 'x'") is None


async def test_a_payload_comes_back_as_text(db):
    row = await insert(db, payload='{"n": 1e5000}')
    assert isinstance(row["payload"], str)
    assert len(row["payload"]) > 5_000


@on_shared
async def test_each_statement_has_a_time_of_its_own(shared):
    times = [(await shared.fetch_one("SELECT now() AS t"))["t"] for _ in range(3)]
    assert times == sorted(set(times))
    assert all(time.tzinfo is not None for time in times)


async def test_more_callers_than_connections_all_get_an_answer(settings):
    database = await Database.connect(settings.model_copy(update={"database_pool_size": 2}))
    try:
        rows = await asyncio.gather(*[database.fetch_one("SELECT %s::int AS n", [n]) for n in range(200)])
        assert [row["n"] for row in rows] == list(range(200))
    finally:
        await database.close()


# --- transactions


async def test_a_transaction_is_all(db):
    async def work(connection):
        for _ in range(2):
            await connection.execute("INSERT INTO tasks (task_id, type) VALUES (%s, 'noop')", [uuid4()])
        return "done"

    assert await db.transaction(work) == "done"
    assert len(await db.fetch_all("SELECT * FROM tasks")) == 2


async def test_a_transaction_is_nothing_if_its_work_fails(db):
    async def work(connection):
        await connection.execute("INSERT INTO tasks (task_id, type) VALUES (%s, 'noop')", [uuid4()])
        raise LookupError("no")

    with pytest.raises(LookupError):
        await db.transaction(work)
    assert await db.fetch_all("SELECT * FROM tasks") == []


async def test_a_transaction_is_nothing_if_it_is_cancelled(db):
    inside = asyncio.Event()

    async def work(connection):
        await connection.execute("INSERT INTO tasks (task_id, type) VALUES (%s, 'noop')", [uuid4()])
        inside.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(db.transaction(work))
    await within(inside.wait(), "the row is written")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert await db.fetch_all("SELECT * FROM tasks") == []


@pytest.mark.parametrize("error", [psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected])
@pytest.mark.parametrize("times", [1, 3])
async def test_after_a_conflict_all_of_the_work_runs_again(db, error, times):
    turns = []

    async def work(connection):
        turns.append(None)
        await connection.execute("INSERT INTO tasks (task_id, type) VALUES (%s, 'noop')", [uuid4()])
        if len(turns) <= times:
            raise error("conflict")
        return len(turns)

    assert await db.transaction(work) == times + 1
    assert len(await db.fetch_all("SELECT * FROM tasks")) == 1, "what the undone runs wrote is gone"


@on_shared
async def test_a_conflict_that_does_not_end_is_raised_in_the_end(shared):
    turns = []

    async def work(connection):
        turns.append(None)
        raise psycopg.errors.SerializationFailure("conflict")

    with pytest.raises(Conflict):
        await shared.transaction(work)
    assert len(turns) == RERUNS + 1


@on_shared
@pytest.mark.parametrize("error", [psycopg.errors.UniqueViolation("x"), Unavailable("x"), KeyError("x")])
async def test_any_other_error_is_raised_at_once(shared, error):
    turns = []

    async def work(connection):
        turns.append(None)
        raise error

    with pytest.raises(type(error)):
        await shared.transaction(work)
    assert len(turns) == 1


async def test_a_real_deadlock_is_survived_by_both(db):
    ids = [(await insert(db))["task_id"] for _ in range(2)]
    both = asyncio.Barrier(2)
    first_run = set()

    def work(name, first, second):
        async def run(connection):
            sql = "UPDATE tasks SET attempts = attempts + 1 WHERE task_id = %s"
            await connection.execute(sql, [first])
            if name not in first_run:
                first_run.add(name)
                await both.wait()  # each holds its first row and now asks for the other's
            await connection.execute(sql, [second])

        return run

    await within(
        asyncio.gather(db.transaction(work("a", *ids)), db.transaction(work("b", *reversed(ids)))),
        "both transactions ended",
    )
    assert [row["attempts"] for row in await db.fetch_all("SELECT attempts FROM tasks")] == [2, 2]


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (psycopg.errors.NumericValueOutOfRange("x"), True),
        (psycopg.errors.UniqueViolation("x"), True),
        (psycopg.errors.StatementTooComplex("x"), True),
        (psycopg.errors.SerializationFailure("x"), False),
        (psycopg.errors.SyntaxError("x"), False),
        (psycopg.OperationalError("no state"), False),
        (ValueError("x"), False),
    ],
)
def test_a_data_error_is_one_that_no_rerun_can_mend(error, is_one):
    assert is_data_error(error) is is_one


# --- what can go wrong


STATES = {
    "08006": Unavailable,
    "25006": Unavailable,
    "40003": Unavailable,
    "53100": Unavailable,
    "53300": Unavailable,
    "57P01": Unavailable,
    "57P03": Unavailable,
    "57014": TooSlow,
    "55P03": TooSlow,
    "40001": Conflict,
    "40P01": Conflict,
    "22P02": psycopg.DataError,
    "23505": psycopg.IntegrityError,
    "54001": psycopg.OperationalError,
    "42P01": psycopg.ProgrammingError,
    "42501": psycopg.ProgrammingError,
    "XX000": psycopg.InternalError,
}


@on_shared
@pytest.mark.parametrize("state", STATES)
async def test_an_error_of_the_database_is_raised_as_what_it_means(shared, state, monkeypatch):
    monkeypatch.setattr(module, "RERUNS", 1)

    async def work(connection):
        raise psycopg.errors.lookup(state)("says the database")

    with pytest.raises(STATES[state]) as caught:
        await shared.transaction(work)
    assert isinstance(caught.value, DatabaseError) is issubclass(STATES[state], DatabaseError)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unavailable("x"), "UNAVAILABLE"),
        (Busy("x"), "RESOURCE_EXHAUSTED"),
        (TooSlow("x"), "DEADLINE_EXCEEDED"),
        (Conflict("x"), "ABORTED"),
        (psycopg.OperationalError("a piece of somebody else's raised it"), "UNAVAILABLE"),
        (psycopg.ProgrammingError("x"), "INTERNAL"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_each_of_them_has_a_status_of_its_own(error, status):
    assert status_of(error)[0].name == status
    assert isinstance(error, psycopg.OperationalError) or status == "INTERNAL"


def test_no_other_module_of_the_reference_catches_what_psycopg_raises():
    package = Path(module.__file__).parent
    found = [
        path.relative_to(package).as_posix()
        for folder in (package, package / "api", package / "worker")
        for path in folder.glob("*.py")
        if re.search(r"except[^\n]*psycopg", path.read_text("utf-8"))
    ]
    assert found == ["database.py"]


@asynccontextmanager
async def held(database, number=1):
    """A database of which somebody holds so many connections."""
    release, holding = asyncio.Event(), []

    async def hold(connection):
        holding.append(connection)
        await release.wait()

    holders = [asyncio.create_task(database.transaction(hold)) for _ in range(number)]

    async def all_hold():
        return len(holding) == number

    await until(all_hold, f"{number} connections are held")
    try:
        yield
    finally:
        release.set()
        await asyncio.gather(*holders)


@pytest.fixture
async def impatient(settings):
    """A database with a single connection for its statements, for which nobody waits long."""
    database = await Database.connect(
        settings.model_copy(update={"database_pool_size": 1, "database_wait_seconds": 0.3})
    )
    yield database
    await database.close()


async def test_without_a_free_connection_a_database_that_answers_is_busy_and_still_up(impatient):
    async with held(impatient):
        with pytest.raises(Busy):
            await impatient.fetch_one("SELECT 1")
        assert await impatient.is_up()
    assert await impatient.fetch_one("SELECT 1 AS a") == {"a": 1}


async def test_without_a_free_connection_a_database_that_is_gone_is_unavailable(settings):
    quick = settings.model_copy(update={"database_pool_size": 1, "database_wait_seconds": 0.3})
    async with proxied_database(quick) as (through, proxy):
        database = await Database.connect(through)
        try:
            async with held(database):
                await proxy.refuse()
                with pytest.raises(Unavailable):
                    await database.fetch_one("SELECT 1")
        except Unavailable:
            pass  # the holder's own connection was cut
        finally:
            await database.close()


async def test_a_statement_that_takes_too_long_is_too_slow(settings, monkeypatch):
    monkeypatch.setitem(connections.LIMITS, "statement_timeout", "50ms")
    database = await Database.connect(settings)
    try:
        with pytest.raises(TooSlow):
            await database.fetch_all("SELECT pg_sleep(30)")
        assert await database.fetch_one("SELECT 1 AS a") == {"a": 1}
    finally:
        await database.close()


async def test_a_statement_that_waits_too_long_for_a_lock_is_too_slow_and_leaves_its_connection(
    db, settings, monkeypatch
):
    assert await db.fetch_one("SHOW lock_timeout") == {"lock_timeout": f"{connections.LOCK_SECONDS}s"}
    row = await insert(db)
    monkeypatch.setitem(connections.LIMITS, "lock_timeout", "50ms")
    database = await Database.connect(settings)
    try:
        async with db._pool.connection() as other, other.transaction():
            await other.execute("SELECT 1 FROM tasks FOR UPDATE")
            with pytest.raises(TooSlow):
                await database.fetch_all("UPDATE tasks SET type = 'x' WHERE task_id = %s", [row["task_id"]])
        assert await database.fetch_one("SELECT 1 AS a") == {"a": 1}
    finally:
        await database.close()


async def test_a_database_that_is_silent_for_ever_is_unavailable(settings, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    async with proxied_database(settings) as (through, proxy):
        database = await Database.connect(through)
        try:
            proxy.stall()
            with pytest.raises(Unavailable):
                await database.fetch_one("SELECT 1")
        finally:
            proxy.cut()
            await database.close()


# --- a database that can't write


async def read_only(db, name, on):
    await db.fetch_all(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {"on" if on else "off"}')


async def name_of(db):
    return (await db.fetch_one("SELECT current_database() AS name"))["name"]


async def test_a_database_that_can_not_write_is_unavailable_until_it_can(db, settings):
    """As after a failover: the connections lead to a server that has become a standby."""

    async def inserts():
        try:
            return await insert(database)
        except (Unavailable, Busy):  # a machine that is slow gets no connection in so short a time
            return None

    name = await name_of(db)
    quick = settings.model_copy(update={"database_pool_size": 1, "database_wait_seconds": 0.3})
    database = await Database.connect(quick)
    try:
        await read_only(db, name, on=True)
        for connection in [*database._pool._pool, *database._probe._pool]:
            await connection.execute("SET default_transaction_read_only = on")
        assert not await database.is_up()
        for _ in range(2):  # over the connection that there was, and then for want of one that can write
            assert not await inserts()
        await read_only(db, name, on=False)
        await until(database.is_up, "the database that can write again is noticed")
        await until(inserts, "and written to")
    finally:
        await read_only(db, name, on=False)
        await database.close()


async def test_connecting_to_a_database_that_can_not_write_is_unavailable(db, settings):
    name = await name_of(db)
    await read_only(db, name, on=True)
    try:
        with pytest.raises(Unavailable):
            await Database.connect(settings.model_copy(update={"database_wait_seconds": 0.3}))
    finally:
        await read_only(db, name, on=False)


# --- a table that changes while processes run


async def test_a_statement_whose_plan_is_stale_is_prepared_again(db, one):
    """psycopg prepares a statement at its fifth run; from then on the server knows its columns."""
    row = await insert(db)
    for _ in range(8):
        await one.fetch_one("SELECT * FROM tasks WHERE task_id = %s", [row["task_id"]])
    await db.fetch_all("ALTER TABLE tasks ADD COLUMN note text DEFAULT 'new'")
    for _ in range(8):
        found = await one.fetch_one("SELECT * FROM tasks WHERE task_id = %s", [row["task_id"]])
        assert found == {**row, "note": "new"}


async def test_a_transaction_whose_plan_is_stale_runs_again_as_a_whole(db, one):
    async def work(connection):
        await connection.execute("INSERT INTO tasks (task_id, type) VALUES (%s, 'noop')", [uuid4()])
        cursor = await connection.execute("SELECT * FROM tasks LIMIT 1")
        return await cursor.fetchone()

    for _ in range(8):
        await one.transaction(work)
    await db.fetch_all("ALTER TABLE tasks ADD COLUMN note text")
    assert "note" in await one.transaction(work)
    assert len(await db.fetch_all("SELECT task_id FROM tasks")) == 9, "what the undone run wrote is gone"


async def test_a_prepared_statement_that_the_server_forgot_is_prepared_again(one):
    for _ in range(8):
        await one.fetch_one("SELECT %s::int AS n", [1])
    async with one._pool.connection() as connection:
        # psycopg does not see that this forgets what it has prepared.
        await connection.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    assert await one.fetch_one("SELECT %s::int AS n", [2]) == {"n": 2}


# --- guests


async def test_guests_that_hold_all_their_connections_hold_nobody_else_up(settings):
    quick = settings.model_copy(update={"database_wait_seconds": 0.3})
    async with open_app(quick, reference()) as app, held(app.guest.db, quick.database_guests):
        with pytest.raises(Busy):
            await app.guest.db.fetch_one("SELECT 1")
        assert await app.db.fetch_one("SELECT 1 AS a") == {"a": 1}
        assert await app.db.is_up()


async def test_a_process_has_no_more_connections_than_the_setting_says(settings):
    few = settings.model_copy(update={"database_pool_size": 5, "database_wait_seconds": 0.3})
    async with (
        # Whoever counts has one connection: a pool may open another meanwhile, which would be counted for ever.
        await psycopg.AsyncConnection.connect(settings.database_conninfo(), autocommit=True) as counting,
        open_app(few, reference()) as app,
        held(app.db, few.database_own_connections),
        held(app.guest.db, few.database_guests),
    ):
        for database in (app.db, app.guest.db):
            with pytest.raises(Busy):
                await database.fetch_one("SELECT 1")

        async def as_set() -> bool:
            sessions = await (await counting.execute(OTHER_SESSIONS)).fetchall()
            return len(sessions) == 5

        # On a slow machine a try to connect may have been given up, and the server has not noticed yet.
        await until(as_set, "there are five")


OTHER_SESSIONS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' "
    "AND pid <> pg_backend_pid()"
)


# --- connections that end


async def pid_of(db):
    return (await db.fetch_one("SELECT pg_backend_pid() AS pid"))["pid"]


async def end_backend(db, pid):
    assert (await db.fetch_one("SELECT pg_terminate_backend(%s) AS ended", [pid]))["ended"]

    async def gone():
        return not await db.fetch_all("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid])

    await until(gone, f"backend {pid} has ended")


async def test_a_connection_that_the_server_closed_is_not_handed_out(db, one):
    for _ in range(3):
        pid = await pid_of(one)
        await end_backend(db, pid)
        assert await pid_of(one) != pid


async def test_a_whole_pool_of_closed_connections_is_not_noticed(settings):
    async with proxied_database(settings) as (through, proxy):
        database = await Database.connect(through)
        try:
            await asyncio.gather(*[database.fetch_all("SELECT pg_sleep(0.01)") for _ in range(10)])
            proxy.cut()
            rows = await asyncio.gather(*[database.fetch_one("SELECT %s::int AS n", [n]) for n in range(20)])
            assert [row["n"] for row in rows] == list(range(20))
        finally:
            await database.close()


async def test_a_connection_that_ends_in_mid_statement_is_unavailable(db, one):
    pid = await pid_of(one)
    waiting = asyncio.create_task(one.fetch_all("SELECT pg_sleep(30)"))

    async def asleep():
        sql = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
        return await db.fetch_all(sql, [pid])

    await until(asleep, "the statement is under way")
    await end_backend(db, pid)
    with pytest.raises(Unavailable):
        await waiting
    assert await one.is_up()


async def test_a_cancelled_caller_gives_its_connection_back_in_order(one):
    for _ in range(3):
        caller = asyncio.create_task(one.fetch_all("SELECT pg_sleep(30)"))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        assert caller.cancelled()
        assert await one.fetch_one("SELECT 1 AS a") == {"a": 1}


async def test_a_cancelled_caller_is_cancelled_whenever_it_comes(one):
    """The cancellation may come in the same turn of the loop as the reply."""
    for number in range(300):
        caller = asyncio.create_task(one.fetch_all("SELECT 1"))
        for _ in range(number % 12):
            await asyncio.sleep(0)
        asked = caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        assert caller.cancelled() is asked


async def test_it_is_up_while_it_answers(settings):
    quick = settings.model_copy(update={"database_wait_seconds": 0.2})
    async with proxied_database(quick) as (through, proxy):
        database = await Database.connect(through)
        try:
            assert await database.is_up()
            await proxy.refuse()
            assert not await database.is_up()
            with pytest.raises(Unavailable):
                await database.fetch_all("SELECT 1")
            await proxy.restore()
            await until(database.is_up, "the database that is back is noticed")
        finally:
            await database.close()


async def test_connecting_to_nothing_is_unavailable_and_keeps_the_password(settings):
    async with proxied_database(settings) as (through, proxy):
        await proxy.refuse()
        url = SecretStr(f"postgresql://somebody:hunter2@127.0.0.1:{proxy.port}/x")
        nowhere = through.model_copy(update={"database_url": url, "database_wait_seconds": 0.3})
        with pytest.raises(Unavailable) as caught:
            await Database.connect(nowhere)
        error = caught.value
        while error is not None:
            assert "hunter2" not in str(error)
            error = error.__cause__ or error.__context__
