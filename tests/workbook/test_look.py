"""`workbook look`: what goes on inside, in at most 80 columns and as many lines as there are."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from scheduler.config import Settings

from tests.workbook.books import Book
from tests.workbook.terminal import Terminal
from workbook import rows
from workbook.system import JobNow, Queue, System
from workbook.system_screen import lines

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def _job(number: int, status: str, type: str = "noop", **more: object) -> JobNow:
    return JobNow(f"{number:08x}-0000", type, status, 1, 3, AT, **more)  # type: ignore[arg-type]


BUSY = System(
    at=AT,
    queues=(
        Queue("q:critical", 0, ()),
        Queue("q:high", 2, (("noop", "0000000a-0000"), ("sleep", "0000000b-0000"))),
        Queue("q:default", 1200, tuple(("noop", f"{number:08x}-0000") for number in range(20, 25))),
        Queue("q:low", 0, ()),
    ),
    counts={"queued": 1202, "running": 2, "retry": 1, "succeeded": 17, "deadletter": 1},
    running=(
        _job(1, "running", seconds=28.4, worker="host:123/4"),
        _job(2, "running", "a_type_with_a_long_name", seconds=-1.0, worker="host:124/9"),
    ),
    retries=(_job(3, "retry", seconds=3.2, error="ValueError: no\x1b[31m such"),),
    dead=(_job(4, "deadletter", error="RuntimeError: failing, as asked, and with a text that is too long"),),
    last=tuple(_job(number, "succeeded") for number in range(100, 150)),
)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def test_a_busy_system_fits_80_by_24() -> None:
    drawn = [line.plain for line in lines(BUSY, 80, 24)]
    assert "\n".join(drawn) == (
        """\
The system 03:04:05 · 1202 queued · 2 running · 1 retry · 17 succeeded · 1 dead…

QUEUES  the entries that come out first
  q:critical     0
  q:high         2  noop 0000000a, sleep 0000000b
  q:default   1200  noop 00000014, noop 00000015, noop 00000016, noop 00000017,…
  q:low          0

RUNNING 2  with their leases
  00000001  noop          attempt 1 of 3    lease 28 s left  host:123/4
  00000002  a_type_with_  attempt 1 of 3    lease run out  host:124/9
RETRIES 1  the soonest first
  00000003  noop          attempt 1 of 3    due in 3 s  ValueError: no�[31m such
DEAD LETTERS 1  the newest first
  00000004  noop          attempt 1 of 3    RuntimeError: failing, as asked, an…
LAST CHANGES
  03:04:05.678  00000064  noop          succeeded   attempt 1 of 3
  03:04:05.678  00000065  noop          succeeded   attempt 1 of 3
  03:04:05.678  00000066  noop          succeeded   attempt 1 of 3
  03:04:05.678  00000067  noop          succeeded   attempt 1 of 3
  03:04:05.678  00000068  noop          succeeded   attempt 1 of 3
  03:04:05.678  00000069  noop          succeeded   attempt 1 of 3
  03:04:05.678  0000006a  noop          succeeded   attempt 1 of 3
  03:04:05.678  0000006b  noop          succeeded   attempt 1 of 3"""
    )


@pytest.mark.parametrize("height", [16, 20, 24, 40])
def test_a_system_with_many_jobs_of_every_kind_never_outgrows_the_terminal(height: int) -> None:
    many = tuple(_job(number, "running", seconds=1.0) for number in range(50))
    full = System(AT, BUSY.queues, {}, running=many, retries=many, dead=many, last=many)
    drawn = lines(full, 60, height)
    assert len(drawn) <= height
    assert max(line.cell_len for line in drawn) <= 60


def test_look_once_shows_what_the_services_hold(book: Book, settings: Settings) -> None:
    ids = _fill(settings)
    book.env |= _environment(settings)
    done = book.process("look", "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert "· 1 queued · 1 running · 1 retry · 1 deadletter" in done.stdout
    assert f"  q:high         1  noop {ids['queued'][:8]}" in done.stdout
    assert f"  {ids['running'][:8]}  noop          attempt 1 of 3    lease " in done.stdout
    assert f"  {ids['deadletter'][:8]}  noop " in done.stdout
    assert "\x1b" not in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_look_refreshes_until_ctrl_c(book: Book, settings: Settings) -> None:
    ids = _fill(settings)
    book.env |= _environment(settings)
    with Terminal(book, "look") as terminal:
        terminal.until("RUNNING 1")
        with psycopg.connect(settings.database_conninfo(), autocommit=True) as database:
            database.execute(
                "UPDATE tasks SET status = 'succeeded', finished_at = now(), lease_expires_at = NULL"
                " WHERE task_id = %s",
                [ids["running"]],
            )
        terminal.until("RUNNING 0")
        terminal.press("\x03")
        assert terminal.wait() == 0
        assert "Traceback" not in terminal.said


def test_look_without_services_gives_one_sentence(book: Book, tmp_path: Path) -> None:
    book.env["SCHEDULER_DATA"] = str(tmp_path / "nothing")
    done = book.workbook("look")
    assert done.returncode == 1
    assert done.stderr == (
        "Error: no services are running here and no address is set: `scheduler up` or `workbook serve` starts them\n"
    )


def _fill(settings: Settings) -> dict[str, str]:
    """A job in each of four states, and an entry for the queued one. Returns their ids."""
    from scheduler.jobs import Status

    ids = {}
    with psycopg.connect(settings.database_conninfo(), autocommit=True) as database:
        for status in ("queued", "running", "retry", "deadletter"):
            task_id = uuid.uuid4()
            values = {"task_id": task_id, "type": "noop", **rows.columns(Status(status)), "attempts": 1}
            database.execute(rows.insert(values).encode(), values)
            ids[status] = str(task_id)
    entry = f'{{"task_id":"{ids["queued"]}","type":"noop","priority":"high"}}'
    with Redis(**settings.redis_address()) as redis:
        redis.lpush("q:high", entry)
    return ids


def _environment(settings: Settings) -> dict[str, str]:
    address = settings.redis_address()
    return {
        "DATABASE_URL": settings.database_conninfo(),
        "REDIS_HOST": address["host"],
        "REDIS_PORT": str(address["port"]),
        "REDIS_PASSWORD": address["password"] or "",
        "REDIS_DB": str(address["db"]),
    }
