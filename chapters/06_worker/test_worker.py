"""Chapter 06: what the worker must do. Run it with `pytest chapters/06_worker`."""

import asyncio
import gc
import json
import logging
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from scheduler.database import Unavailable
from scheduler.entry import Entry
from scheduler.jobs import Job, PermanentError, Priority, Status

from workbook.clock import an_hour_ahead
from workbook.diagnose import diagnose
from workbook.loop import Hang
from workbook.patience import stretched

TOP_DOWN = ["critical", "high", "default", "low"]
SOON = 5.0
"""How long to wait for what a right worker does within milliseconds, where a wrong one never does it."""


def entry_of(job):
    return Entry(job.task_id, job.type, job.priority)


def some_entries(number, priority=Priority.DEFAULT):
    return [Entry(uuid4(), "noop", priority) for _ in range(number)]


def push(world, *jobs):
    for job in jobs:
        world.redis.lpush(f"q:{job.priority}", bytes_of(job))


def bytes_of(job):
    fields = {"task_id": str(job.task_id), "type": job.type, "priority": str(job.priority)}
    return json.dumps(fields, separators=(",", ":")).encode()


def entries_left(world):
    return sum(world.redis.llen(f"q:{priority}") for priority in TOP_DOWN)


def unchanged(world, job, why):
    """Nobody wrote to the row since `job` was read."""
    row = world.row(job.task_id)
    assert row == job, (
        f"{why}: the row was {job.status} v{job.version}, and is {row.status} v{row.version} now"
    )


def columns(row, what, **wanted):
    """The row has these values; the first that differs is named."""
    for name, value in wanted.items():
        got = getattr(row, name)
        assert got == value, diagnose(f"{what}: the column {name}", got, value)


def seconds_from_now(world, job, column):
    """How far ahead of the database's clock a time of the row lies, in seconds; None if it is NULL."""
    rows = world.sql(
        f"SELECT extract(epoch FROM {column} - clock_timestamp())::float8 AS s FROM tasks WHERE task_id = %s",
        job.task_id,
    )
    return rows[0]["s"]


def about_now(world, job, column, what, after=0.0):
    """The column holds the database's now plus `after` seconds, give or take a slow machine."""
    got = seconds_from_now(world, job, column)
    assert got is not None, f"{what}: {column} is NULL, and should be a time"
    off = got - after
    assert -60 < off < 1, diagnose(
        f"{what}: {column}, in seconds from the database's now",
        round(got, 1),
        after,
        [
            (
                3500 < off < 3700,
                "it is an hour off. This test set the clock of your process an hour ahead: times must come from the "
                "database, as now() in the statement",
            )
        ],
    )


# -- task 1


def taken(world, code, limit=1):
    got = world.run(code.take, limit)
    shape = "take(app, 1)"
    assert isinstance(got, list), diagnose(
        shape,
        got,
        "a list of Entry",
        [
            (got is None, "it returned nothing; when no entry came, the answer is []"),
            (isinstance(got, Entry), "one Entry; the answer is a list, even of one"),
            (isinstance(got, tuple), "that is Redis's own answer, (list's name, value): read the value"),
        ],
    )
    for entry in got:
        assert isinstance(entry, Entry), diagnose(
            f"an item of {shape}",
            entry,
            "an Entry",
            [(isinstance(entry, bytes), "the raw bytes; decode_entry makes an Entry of them")],
        )
    return got


def test_task_1_takes_from_the_most_urgent_queue_first(code, world):
    push(world, *[Entry(uuid4(), "noop", Priority(priority)) for priority in reversed(TOP_DOWN)])
    got = [str(entry.priority) for _ in TOP_DOWN for entry in taken(world, code)]
    assert got == TOP_DOWN, diagnose(
        "the priorities of four takes",
        got,
        TOP_DOWN,
        [
            (
                got == TOP_DOWN[::-1] or sorted(got) == sorted(TOP_DOWN),
                "the wrong order: Redis looks at the lists in the order in which the command names them",
            ),
            (not got, "nothing; are the four names q:critical, q:high, q:default and q:low?"),
        ],
    )


def test_task_1_answers_as_soon_as_it_holds_an_entry(code, world):
    push(world, *some_entries(1))
    running = world.start(code.take, 5)
    world.until(lambda: running.done or world.waiting_pops(), "take had popped what there was")
    assert running.done, (
        "one entry was there, and take(app, 5) holds it and waits for more: its job waits too. Wait only while you "
        "hold nothing"
    )
    assert len(running.result()) == 1


def test_task_1_takes_the_oldest_entry_of_a_queue_first(code, world):
    entries = some_entries(3)
    push(world, *entries)
    got = [entry for _ in entries for entry in taken(world, code)]
    assert got == entries, diagnose(
        "three takes",
        [entries.index(entry) for entry in got],
        [0, 1, 2],
        [(got == entries[::-1], "the newest came first: LPUSH adds on the left, so take from the right")],
    )


def test_task_1_takes_no_more_than_the_limit(code, world):
    entries = some_entries(5)
    push(world, *entries)
    got = taken(world, code, limit=2)
    assert 1 <= len(got) <= 2, diagnose("entries of take(app, 2), of five that wait", len(got), "1 or 2")
    assert got == entries[: len(got)], "the oldest entries must come first, in their order"
    left = entries_left(world)
    assert left == 5 - len(got), (
        f"take(app, 2) returned {len(got)} of five entries, and {left} are left: {5 - len(got) - left} are lost"
    )


def test_task_1_waits_for_an_entry(code, world):
    running = world.start(code.take, 1)
    until = time.monotonic() + 0.15
    while not running.done and not world.waiting_pops() and time.monotonic() < until:
        time.sleep(0.005)
    if running.done:
        assert running.result() is None, (
            "the queues were empty, and take did not wait: a worker that asks again at once keeps a processor busy. "
            "Use a pop that blocks"
        )
    (entry,) = some_entries(1)
    push(world, entry)
    got = running.result()
    assert got == [entry], diagnose("take, of an entry that came while it waited", got, [entry])


def test_task_1_pops_with_the_patient_client(code, world):
    (entry,) = some_entries(1)
    push(world, entry)
    with world.redis_stands_still():  # that is app.queue.redis alone
        running = world.start(code.take, 1)
        try:
            got = running.result(SOON)
        except Hang:
            pytest.fail(
                "take popped with app.queue.redis, which is for ordinary commands and gives up after half a second, "
                "before the pop does: app.queue.blocking is made for pops"
            )
    assert got == [entry], diagnose("take, of an entry that waits", got, [entry])


def test_task_1_returns_an_empty_list_when_nothing_comes(code, world):
    try:
        got = world.run(code.take, 1, within=8)
    except RedisTimeoutError:
        pytest.fail(
            "nothing came, and take raised redis-py's TimeoutError: that is the client's own patience, for a server "
            "that is gone. A timeout of 0 means for ever to Redis; pass BLOCK_SECONDS"
        )
    except TypeError as error:
        pytest.fail(f"nothing came, so the client's answer is None, and take did not expect that: {error}")
    assert got == [], diagnose(
        "take, when nothing comes",
        got,
        [],
        [(got is None, "None; the answer is an empty list, so that nobody has to ask")],
    )


def test_task_1_drops_what_is_not_an_entry(code, world):
    (entry,) = some_entries(1)
    junk = [b"not JSON", b"{}", b"[1]", b"\xff"]
    world.redis.lpush("q:default", *junk)
    push(world, entry)
    got = []
    try:
        while not got and entries_left(world):
            got = taken(world, code)
    except (ValueError, KeyError, TypeError) as error:
        pytest.fail(
            f"{junk} stood in a queue, and take raised {type(error).__name__}: one bad entry must not stop a "
            "worker. Log it, drop it"
        )
    assert got == [entry], diagnose("what take gave after the bad entry", got, [entry])


def test_task_1_says_in_the_log_what_it_dropped(code, world, caplog):
    world.redis.lpush("q:default", b"not JSON")
    push(world, *some_entries(1))
    with caplog.at_level(logging.DEBUG):
        while entries_left(world):
            taken(world, code)
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert loud, "take dropped a bad entry in silence: log a warning, for somebody pushes wrong bytes"


@pytest.mark.can_go_away("redis")
def test_task_1_lets_the_error_of_redis_through(code, world):
    _ = world.app
    world.proxies["redis"].cut()
    try:
        got = world.run(code.take, 1)
    except (RedisError, OSError):
        return
    pytest.fail(
        f"Redis is away, and take answered {got!r}: its caller must hear of it, or it asks again at once, for ever"
    )


def test_task_1_agrees_with_the_reference_on_every_input(judge):
    judge.task(1)


# -- task 2


@pytest.mark.settings(lease_seconds=200)
def test_task_2_makes_a_queued_job_running(code, world):
    job = world.insert(attempts=1, max_attempts=5)
    world.run(code.claim, [entry_of(job)])
    row = world.row(job.task_id)
    columns(
        row,
        "after claim",
        status=Status.RUNNING,
        attempts=2,
        version=job.version + 1,
        pushed_at=None,
        max_attempts=5,
    )
    assert row.worker, (
        "after claim: the column worker is empty; write a name there that tells who has the job"
    )
    about_now(world, job, "started_at", "after claim")
    about_now(world, job, "updated_at", "after claim")
    about_now(world, job, "lease_expires_at", "after claim", after=200)


def test_task_2_returns_the_row_as_it_is_now(code, world):
    job = world.insert()
    got = world.run(code.claim, [entry_of(job)])
    row = world.row(job.task_id)
    if isinstance(got, list) and len(got) == 1 and isinstance(got[0], Job) and got[0].version == row.version:
        wanted = {name: getattr(row, name) for name in Job.__dataclass_fields__}
        columns(got[0], "the job that claim returned", **wanted)
    assert got == [row], diagnose(
        "claim",
        got,
        [row],
        [
            (got is None, "it returned nothing; is there a return?"),
            (got == [], "an empty list; RETURNING * gives the rows that an UPDATE has changed"),
            (
                isinstance(got, list) and got and isinstance(got[0], dict),
                "rows as dicts; Job.from_row makes a Job",
            ),
            (
                isinstance(got, list)
                and bool(got)
                and isinstance(got[0], Job)
                and got[0].version == job.version,
                "the row as it was before the claim",
            ),
        ],
    )


def test_task_2_leaves_a_job_that_is_not_queued(code, world):
    for status in [status for status in Status if status is not Status.QUEUED]:
        job = world.insert(status)
        got = world.run(code.claim, [entry_of(job)])
        assert got == [], (
            f"the job is {status}, and claim returned it: an entry only says that it was queued once"
        )
        unchanged(world, job, f"claim found a {status} job")


def test_task_2_claims_each_of_several_jobs_once(code, world):
    first, second, gone = world.insert(), world.insert(), world.insert("cancelled")
    asked = [entry_of(job) for job in (first, second, first, gone)]
    got = world.run(code.claim, [*asked, *some_entries(1)])
    ids = sorted(job.task_id for job in got)
    assert ids == sorted([first.task_id, second.task_id]), diagnose(
        "the jobs that claim returned, of two queued ones, one twice, a cancelled one and an unknown one",
        len(ids),
        2,
        [(len(ids) == 3, "an entry stood there twice, and its job came back twice")],
    )
    attempts = [world.row(job.task_id).attempts for job in (first, second)]
    assert attempts == [1, 1], diagnose(
        "attempts, after one claim each", attempts, [1, 1], [(2 in attempts, "counted twice")]
    )


def test_task_2_claims_nothing_for_no_entries(code, world):
    job = world.insert()
    assert world.run(code.claim, []) == []
    unchanged(world, job, "claim got no entries")


def test_task_2_loses_against_another_worker(code, world):
    job = world.insert()
    with world.locked(job, "running") as lock:
        running = world.start(code.claim, [entry_of(job)])
        lock.wait_for(running)
        lock.commit()
        got = running.result()
    _won_by(world, got, "another worker")
    row = world.row(job.task_id)
    assert (row.attempts, row.worker) == (1, "another/1"), (
        "another worker had claimed the job, and claim wrote over it: the same statement that writes must ask "
        "whether it is still queued"
    )


def test_task_2_loses_against_a_cancel(code, world):
    job = world.insert()
    with world.locked(job, "cancelled") as lock:
        running = world.start(code.claim, [entry_of(job)])
        lock.wait_for(running)
        lock.commit()
        got = running.result()
    _won_by(world, got, "a cancel")
    assert world.row(job.task_id).status == "cancelled", (
        "the job was cancelled in the meantime, and claim made it running: UPDATE … WHERE … AND status = 'queued'"
    )


def _won_by(world, got, who):
    assert got == [], (
        f"{who} reached the row first, and claim returned the job all the same: only the rows that its own UPDATE "
        "has changed (RETURNING) are its own"
    )


def test_task_2_uses_the_clock_of_the_database(code, world):
    job = world.insert()
    with an_hour_ahead(code):
        world.run(code.claim, [entry_of(job)])
    about_now(world, job, "started_at", "after claim")
    about_now(world, job, "lease_expires_at", "after claim", after=world.settings.lease_seconds)


@pytest.mark.processes(2)
@pytest.mark.settings(lease_seconds=200.75)
def test_task_2_agrees_with_the_reference_on_every_input(judge):
    judge.task(2)


# -- task 3


def run_one(code, world, handler, **columns):
    """What run_handler returns for a job whose handler is this function."""
    world.handler("tested", handler)
    job = world.insert("running", type="tested", **columns)
    try:
        return world.run(code.run_handler, job), job
    except (NotImplementedError, Hang):
        raise
    except BaseException as error:
        pytest.fail(
            f"run_handler raised {type(error).__name__}({error}): what a handler raises is returned, for the worker "
            "to decide about"
        )


def test_task_3_runs_the_handler_and_returns_none(code, world):
    seen = []

    async def handler(app, job):
        await asyncio.sleep(0)
        seen.append(job.task_id)

    got, job = run_one(code, world, handler)
    assert seen == [job.task_id], diagnose(
        "the jobs that the handler ran for",
        seen,
        [job.task_id],
        [(not seen, "none; is app.handlers.run(app, job) awaited?")],
    )
    assert got is None, diagnose("run_handler, of a handler that succeeded", got, None)


def test_task_3_returns_the_error_of_the_handler(code, world):
    error = RuntimeError("the handler failed")

    async def handler(app, job):
        raise error

    got, _ = run_one(code, world, handler)
    assert got is error, diagnose(
        "run_handler, of a handler that raised",
        got,
        error,
        [
            (got is None, "None, which means success: the failure is lost"),
            (isinstance(got, str), "its text; return the exception itself, for decide asks for its type"),
        ],
    )


def test_task_3_runs_a_plain_function_too(code, world):
    seen = []

    def handler(app, job):
        seen.append(threading.current_thread().name)

    got, _ = run_one(code, world, handler)
    assert got is None, diagnose("run_handler, of a handler without async", got, None)
    assert seen, "the handler without async never ran"
    assert seen != ["code under test"], (
        "the handler without async ran on the event loop, and holds up everything else; app.handlers.run knows better"
    )


@pytest.mark.settings(handler_timeout_seconds=0.05)
def test_task_3_ends_a_handler_that_takes_too_long(code, world):
    ended = []

    async def handler(app, job):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(job)

    got, _ = run_one(code, world, handler)
    assert isinstance(got, Exception), diagnose(
        "run_handler, of a handler that took too long",
        got,
        "an exception",
        [(got is None, "None, which means success: the job was not done")],
    )
    assert ended, "the time was up, and the handler still runs: it must be cancelled"


def test_task_3_returns_a_timeout_that_the_handler_raised(code, world):
    async def handler(app, job):
        raise TimeoutError("some server did not answer")

    got, _ = run_one(code, world, handler)
    assert isinstance(got, Exception), diagnose(
        "run_handler, of a handler that raised TimeoutError", got, "an exception", []
    )


def test_task_3_counts_an_unknown_type_as_permanent(code, world):
    job = world.insert("running", type="nobody_knows_it")
    try:
        got = world.run(code.run_handler, job)
    except NotImplementedError:
        raise
    except Exception as error:
        pytest.fail(
            f"no handler is registered for the type, and run_handler raised {type(error).__name__}: return a "
            "PermanentError, such as app.handlers.run raises"
        )
    assert isinstance(got, PermanentError), diagnose(
        "run_handler, of a type that nobody registered",
        got,
        "a PermanentError",
        [
            (got is None, "None, which means success; the job was never run"),
            (
                isinstance(got, Exception),
                "not a PermanentError, so it would be tried again; app.handlers.run raises one",
            ),
        ],
    )


def test_task_3_lets_a_cancellation_through(code, world):
    began = []

    async def handler(app, job):
        began.append(job)
        await asyncio.sleep(60)

    async def cancel_it(app):
        task = asyncio.create_task(code.run_handler(app, job))
        while not began and not task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait({task}, timeout=4)
        assert task.done(), "run_handler was cancelled, and goes on"
        return "cancelled" if task.cancelled() else task.result()

    world.handler("tested", handler)
    job = world.insert("running", type="tested")
    got = world.run(cancel_it)
    assert got == "cancelled", (
        f"run_handler was cancelled, and returned {got!r}: the job has not failed. CancelledError must go through"
    )


def test_task_3_agrees_with_the_reference_on_every_input(judge):
    judge.task(3)


# -- task 4

BACKOFF = [(1, 10), (2, 20), (3, 40), (4, 80), (5, 100), (12, 100)]


def delays(code, attempt, base=10.0, cap=100.0):
    try:
        return [code.backoff_delay(attempt, base, cap) for _ in range(300)]
    except OverflowError as error:
        pytest.fail(
            f"backoff_delay({attempt}, {base:g}, {cap:g}) raised OverflowError: {error}. Long before, the cap is "
            "reached: keep the exponent small"
        )


@pytest.mark.parametrize(("attempt", "limit"), BACKOFF)
def test_task_4_stays_within_the_limit_of_its_attempt(code, attempt, limit):
    got = delays(code, attempt)
    assert all(isinstance(delay, int | float) for delay in got), f"a delay must be a number, not {got[0]!r}"
    assert min(got) >= 0, f"backoff_delay({attempt}, 10, 100) gave {min(got):g}: a delay is never negative"
    assert max(got) <= limit, diagnose(
        f"the longest of 300 delays after attempt {attempt}, with base 10 and cap 100",
        round(max(got), 1),
        f"at most {limit}",
        [
            (max(got) > 100, "above the cap"),
            (max(got) <= 2 * limit, "one doubling too many: the limit after attempt 1 is base itself"),
        ],
    )


@pytest.mark.parametrize(("attempt", "limit"), BACKOFF)
def test_task_4_doubles_up_to_the_cap(code, attempt, limit):
    longest = max(delays(code, attempt))
    assert longest > limit / 2, diagnose(
        f"the longest of 300 delays after attempt {attempt}, with base 10 and cap 100",
        round(longest, 1),
        f"close to {limit}",
        [(attempt > 1, "too short: the limit doubles with each attempt")],
    )


def test_task_4_differs_from_call_to_call(code):
    got = delays(code, 3)
    assert len(set(got)) > 100, (
        f"300 delays after attempt 3 gave {len(set(got))} different ones: jobs that failed together would all come "
        "back together. Choose at random up to the limit"
    )


def test_task_4_keeps_to_a_cap_below_the_base(code):
    longest = max(delays(code, 1, base=200.0, cap=100.0))
    assert longest <= 100, diagnose(
        "the longest of 300 delays after attempt 1, with base 200 and cap 100",
        round(longest, 1),
        "at most 100",
        [(True, "above the cap, which holds for the first attempt too")],
    )


@pytest.mark.parametrize("attempt", [64, 1_100, 100_000])
def test_task_4_works_for_any_attempt(code, attempt):
    got = delays(code, attempt)
    assert 0 <= min(got) <= max(got) <= 100, diagnose(
        f"300 delays after attempt {attempt}", (min(got), max(got)), "from 0 to 100"
    )


def test_task_4_agrees_with_the_reference_on_every_input(judge):
    judge.task(4)


# -- task 5


def a_job(attempts, max_attempts):
    fields = dict.fromkeys(Job.__dataclass_fields__)
    fields |= {"task_id": UUID(int=1), "type": "noop", "priority": Priority.DEFAULT, "payload_json": "{}"}
    fields |= {"status": Status.RUNNING, "attempts": attempts, "max_attempts": max_attempts, "version": 2}
    return Job(**fields)


def decided(code, job, error):
    got = code.decide(job, error)
    assert hasattr(got, "status"), diagnose(
        "decide", got, "an Outcome", [(got is None, "it returned nothing")]
    )
    return got


def test_task_5_a_job_without_an_error_has_succeeded(code):
    got = decided(code, a_job(1, 3), None)
    assert got.status == "succeeded", diagnose("decide, without an error", got.status, "succeeded")
    assert got.error is None, diagnose("the error of a success", got.error, None)


@pytest.mark.parametrize(("attempts", "max_attempts"), [(1, 3), (2, 3), (1, 2), (99, 100)])
def test_task_5_a_failure_with_attempts_left_is_retried(code, attempts, max_attempts):
    got = decided(code, a_job(attempts, max_attempts), RuntimeError("no luck"))
    assert got.status == "retry", diagnose(
        f"decide, after attempt {attempts} of {max_attempts} failed",
        str(got.status),
        "retry",
        [(got.status == "failed", "failed is for errors that no retry can mend (PermanentError)")],
    )


@pytest.mark.parametrize(("attempts", "max_attempts"), [(3, 3), (1, 1), (4, 3)])
def test_task_5_a_failure_of_the_last_attempt_is_a_dead_letter(code, attempts, max_attempts):
    got = decided(code, a_job(attempts, max_attempts), RuntimeError("no luck"))
    assert got.status == "deadletter", diagnose(
        f"decide, after attempt {attempts} of {max_attempts} failed",
        str(got.status),
        "deadletter",
        [
            (
                got.status == "retry",
                f"retry, which would be attempt {attempts + 1}: attempts already counts the one that has just ended",
            ),
            (
                got.status == "failed",
                "failed is for errors that no retry can mend; this one ran out of attempts",
            ),
        ],
    )


@pytest.mark.parametrize("attempts", [1, 3])
def test_task_5_a_permanent_error_is_not_retried(code, attempts):
    got = decided(code, a_job(attempts, 3), PermanentError("no such address"))
    assert got.status == "failed", diagnose(
        f"decide, after a PermanentError in attempt {attempts} of 3",
        str(got.status),
        "failed",
        [(got.status == "retry", "retry, though the handler said that trying again is of no use")],
    )


@pytest.mark.parametrize("error", [RuntimeError("no luck"), PermanentError("no luck"), RuntimeError()])
def test_task_5_says_what_went_wrong(code, error):
    got = decided(code, a_job(1, 3), error)
    assert isinstance(got.error, str), diagnose(
        "the outcome's error",
        got.error,
        "a str",
        [
            (got.error is None, "None: whoever looks at the job must read why it failed; see `sentence`"),
            (isinstance(got.error, Exception), "the exception; the database wants text: see `sentence`"),
        ],
    )
    assert str(error) in got.error, diagnose("the outcome's error", got.error, f"it says {str(error)!r}")
    assert got.error, "the error has no text of its own, and the outcome says nothing: see `sentence`"


def test_task_5_agrees_with_the_reference_on_every_input(judge):
    judge.task(5)


# -- task 6


def an_attempt(world, **columns):
    return world.insert("running", **{"attempts": 2, "max_attempts": 3, "last_error": "earlier", **columns})


def finished(world, code, job, status, error=None, delay=0.0):
    got = world.run(code.finish, job, code.Outcome(Status(status), error, delay))
    assert isinstance(got, bool), diagnose(
        "finish", got, "True or False", [(got is None, "it returned nothing")]
    )
    return got


ENDINGS = [("succeeded", None), ("failed", "no such address"), ("deadletter", "RuntimeError: no luck")]


def test_task_6_writes_how_a_job_ended(code, world):
    for status, error in ENDINGS:
        job = an_attempt(world)
        assert finished(world, code, job, status, error) is True, (
            "the job was ours, and finish answered False"
        )
        columns(
            world.row(job.task_id),
            "after finish",
            status=status,
            last_error=error,
            lease_expires_at=None,
            next_run_at=None,
            worker=None,
            attempts=2,
            version=job.version + 1,
            started_at=job.started_at,
        )
        about_now(world, job, "finished_at", "after finish")
        about_now(world, job, "updated_at", "after finish")


def test_task_6_writes_when_a_retry_is_due(code, world):
    job = an_attempt(world)
    assert finished(world, code, job, "retry", "RuntimeError: no luck", delay=100.0) is True
    row = world.row(job.task_id)
    columns(
        row,
        "after a retry",
        status="retry",
        last_error="RuntimeError: no luck",
        lease_expires_at=None,
        finished_at=None,
        worker=None,
        attempts=2,
        version=job.version + 1,
    )
    about_now(world, job, "next_run_at", "after a retry with a delay of 100 s", after=100)


def test_task_6_writes_a_row_for_the_attempt(code, world):
    for status, error in [*ENDINGS, ("retry", "RuntimeError: no luck")]:
        job = an_attempt(world)
        finished(world, code, job, status, error)
        got = world.attempts(job.task_id)
        assert len(got) == 1, diagnose(
            "rows of task_attempts after one finish",
            len(got),
            1,
            [(not got, "none; finish writes two rows, one in each table")],
        )
        wanted = {"attempt": 2, "started_at": job.started_at, "ok": status == "succeeded", "error": error}
        for name, value in wanted.items():
            assert got[0][name] == value, diagnose(f"task_attempts: the column {name}", got[0][name], value)


def test_task_6_writes_nothing_over_a_job_that_is_not_running(code, world):
    for status in ("cancelled", "retry", "queued", "deadletter", "failed"):
        job = an_attempt(world)
        changed = world.update(job, status)
        got = finished(world, code, job, "succeeded")
        assert got is False, f"the job was {status} by then, and finish said that it had written it"
        unchanged(world, changed, f"finish met a {status} job and wrote over it")
        assert world.attempts(job.task_id) == [], (
            f"the job was {status} by then, and finish left a row in task_attempts: both or neither"
        )


def test_task_6_loses_against_a_cancel(code, world):
    job = an_attempt(world)
    with world.locked(job, "cancelled") as lock:
        running = world.start(code.finish, job, code.Outcome(Status.SUCCEEDED))
        lock.wait_for(running)
        lock.commit()
        got = running.result()
    row = world.row(job.task_id)
    assert row.status == "cancelled", (
        f"a cancel reached the row first, and finish wrote {row.status} over it: look and write in one statement, "
        "UPDATE … WHERE … AND status = 'running'"
    )
    assert got is False, "a cancel reached the row first, and finish said that it had written it"
    assert world.attempts(job.task_id) == [], (
        "a cancel reached the row first, and finish left a row in task_attempts: both or neither"
    )


def test_task_6_writes_both_rows_or_neither(code, world):
    job = an_attempt(world)
    world.sql(
        "INSERT INTO task_attempts VALUES (%s, 2, now(), now(), false, 'in the way, so that the second row fails')",
        job.task_id,
    )
    raised = None
    try:
        world.run(code.finish, job, code.Outcome(Status.SUCCEEDED))
    except psycopg.Error as error:
        raised = error
    row = world.row(job.task_id)
    assert raised is None or row.status == "running", (
        f"the row of task_attempts could not be written, and the job is {row.status} all the same: two transactions. "
        "Put both into one, with app.db.transaction, or into one statement"
    )
    [written] = [row for row in world.attempts(job.task_id) if row["attempt"] == job.attempts]
    assert raised or (written["ok"], written["error"]) == (True, None), (
        "a row of task_attempts with this key was there already, and finish made the job succeeded without one of its "
        f"own: (ok, error) is still {(written['ok'], written['error'])!r}. Write over it, or let the error undo both"
    )


def test_task_6_uses_the_clock_of_the_database(code, world):
    job, again = an_attempt(world), an_attempt(world)
    with an_hour_ahead(code):
        finished(world, code, job, "succeeded")
        finished(world, code, again, "retry", "RuntimeError: no luck", delay=5.0)
    about_now(world, job, "finished_at", "after finish")
    about_now(world, again, "next_run_at", "after a retry with a delay of 5 s", after=5)
    (written,) = world.sql(
        "SELECT abs(extract(epoch FROM finished_at - clock_timestamp())) AS off FROM task_attempts WHERE task_id = %s",
        job.task_id,
    )
    assert written["off"] < 60, (
        "task_attempts.finished_at comes from the client's clock; use the database's now()"
    )


@pytest.mark.settings(lease_seconds=500, heartbeat_seconds=100)
def test_task_6_agrees_with_the_reference_on_every_input(judge):
    judge.task(6)


# -- task 7


def due(world, **columns):
    job = world.insert("retry", **columns)
    world.sql("UPDATE tasks SET next_run_at = now() - interval '1 second' WHERE task_id = %s", job.task_id)
    return world.row(job.task_id)


def test_task_7_queues_a_retry_that_is_due(code, world):
    job = due(world, attempts=2)
    got = world.run(code.pump_retries)
    assert got == 1, diagnose(
        "pump_retries, with one retry that is due", got, 1, [(got is None, "it returned nothing")]
    )
    row = world.row(job.task_id)
    columns(row, "after the pump", status="queued", next_run_at=None, attempts=2, version=job.version + 1)
    about_now(world, job, "queued_at", "after the pump")
    about_now(world, job, "pushed_at", "after the pump")
    about_now(world, job, "updated_at", "after the pump")
    assert row.queued_at > job.queued_at, "queued_at is still the time of the first submit"


def test_task_7_pushes_the_entry(code, world):
    job = due(world, priority="low", type="sleep")
    world.run(code.pump_retries)
    got = world.redis.lrange("q:low", 0, -1)
    assert got == [bytes_of(job)], diagnose(
        "q:low after the pump",
        got,
        [bytes_of(job)],
        [(not got, "nothing; a queued job without an entry waits for the reconciler")],
    )


def test_task_7_leaves_what_is_not_due(code, world):
    later = world.insert("retry")
    others = [world.insert(status) for status in ("queued", "running", "succeeded", "deadletter")]
    ready = due(world)
    got = world.run(code.pump_retries)
    unchanged(world, later, "the retry is due in a minute, and the pump queued it")
    for job in others:
        unchanged(world, job, f"the pump wrote to a {job.status} job")
    assert got == 1, diagnose("pump_retries, with one due and one that is not", got, 1)
    assert world.redis.lrange("q:default", 0, -1) == [bytes_of(ready)], (
        "the pump pushed an entry of a job that it did not queue"
    )


def test_task_7_does_nothing_when_nothing_is_due(code, world):
    assert world.run(code.pump_retries) == 0
    assert entries_left(world) == 0


@pytest.mark.parametrize("other", ["cancelled", "queued"])
def test_task_7_only_the_winner_pushes(code, world, other):
    job = due(world)
    who = "a cancel" if other == "cancelled" else "another pump"
    wrote_over_it = (
        f"{who} reached the row first, and this pump wrote over it: the UPDATE itself must ask whether the job is "
        "still a retry, with status = 'retry' in the WHERE"
    )
    with world.locked(job, other) as lock:
        running = world.start(code.pump_retries)
        lock.wait_for(running)
        lock.commit()
        try:
            got = running.result()
        except psycopg.errors.CheckViolation:  # a cancelled row has columns that a queued one must not have
            pytest.fail(wrote_over_it)
    row = world.row(job.task_id)
    assert (row.status, row.version) == (other, job.version + 1), wrote_over_it
    assert entries_left(world) == 0, (
        f"{who} reached the row first, and this pump pushed an entry: push only what the UPDATE returned, after it"
    )
    assert got == 0, diagnose(f"pump_retries, when {who} reached the only row first", got, 0)


def test_task_7_uses_the_clock_of_the_database(code, world):
    later = world.insert("retry")
    with an_hour_ahead(code):
        world.run(code.pump_retries)
    unchanged(
        world,
        later,
        "the clock of your process was an hour ahead, and the pump queued a retry that is not due by the database's",
    )


@pytest.mark.can_go_away("redis")
def test_task_7_queues_the_job_when_redis_is_away(code, world):
    job = due(world)
    _ = world.app
    world.proxies["redis"].cut()
    try:
        got = world.run(code.pump_retries)
    except RedisError as error:
        pytest.fail(
            f"Redis is away, and pump_retries raised {type(error).__name__}: the job is queued, and the reconciler "
            "will push it. Log it, and go on"
        )
    assert got == 1, diagnose("pump_retries while Redis is away, with one retry that is due", got, 1)
    assert world.row(job.task_id).status == "queued"


@pytest.mark.processes(2)
def test_task_7_agrees_with_the_reference_on_every_input(judge):
    judge.task(7)


# -- task 8


class Gate:
    """A handler that waits until the test opens it, and remembers what it saw."""

    def __init__(self):
        self.started = []
        self.ended = []
        self.cancelled = []
        self.open = set()
        self.over = False

    async def handler(self, app, job):
        self.started.append(job.task_id)
        try:
            while job.task_id not in self.open and not self.over:  # noqa: ASYNC110
                await asyncio.sleep(0.003)
        except asyncio.CancelledError:
            self.cancelled.append(job.task_id)
            raise
        self.ended.append(job.task_id)


@pytest.fixture
def gate(world):
    """Jobs of the type gated wait in this gate; the end of the test opens it for all."""
    gate = Gate()
    world.handler("gated", gate.handler)
    yield gate
    gate.over = True


def gated_jobs(world, number):
    jobs = [world.insert(type="gated") for _ in range(number)]
    push(world, *jobs)
    return jobs


def submitted(world, type="noop", **columns):
    job = world.insert(type=type, **columns)
    push(world, job)
    return job


def becomes(world, worker, job, status, hurdle=""):
    """Wait until the job has this status, or say where it stands instead."""
    try:
        worker.until(lambda: world.row(job.task_id).status == status, "")
    except Hang as hang:
        row = world.row(job.task_id)
        where = {
            "queued": "it was taken, and never claimed"
            if not entries_left(world)
            else "its entry is still there: nobody took it",
            "running": "it was claimed, and never finished",
        }
        said = str(hang) if "stands still" in str(hang) else where.get(str(row.status), "")
        pytest.fail(f"{hurdle}5 s later the job is {row.status}, not {status}: {said}")


def came(world, worker, look, what):
    """Wait until this is so, or say what was expected, and where things stand instead."""
    try:
        return worker.until(look, "", SOON)
    except Hang as hang:
        if "stands still" in str(hang) or world.goes_round:
            raise
    counts = world.sql("SELECT status, count(*) AS n FROM tasks GROUP BY status ORDER BY status")
    jobs = ", ".join(f"{row['n']} {row['status']}" for row in counts) or "none"
    pytest.fail(
        f"expected that {what}; {SOON:g} s later it is not so. Of the jobs are: {jobs}; entries in the queues: "
        f"{entries_left(world)}; {worker.waits_at()}"
    )


def once(piece, error, when=lambda: True):
    """A piece that raises the first time, once `when` says so, and a list of the times that it did."""
    raised = []

    async def failing(*args):
        if not raised and when():
            raised.append(error)
            raise error
        return await piece(*args)

    return failing, raised


def is_stub(error):
    """Whether nothing is written yet, which a test must not take for an error of the code under test."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(NotImplementedError) is not None
    return isinstance(error, NotImplementedError)


@pytest.mark.settings(worker_pool_size=4)
def test_task_8_runs_a_job_to_its_end(code, world):
    job = submitted(world)
    worker = world.worker()
    becomes(world, worker, job, "succeeded")
    assert len(world.attempts(job.task_id)) == 1, "the job has succeeded, and there is no row of its attempt"


@pytest.mark.settings(worker_pool_size=4)
def test_task_8_goes_on_with_the_next_job(code, world):
    worker = world.worker()
    for number in ("first", "second", "third"):
        becomes(world, worker, submitted(world), "succeeded", f"the {number} job: ")


@pytest.mark.settings(worker_pool_size=4)
def test_task_8_writes_what_was_decided(code, world):
    world.put(backoff_delay=lambda attempt, base, cap: 500.0)
    worker = world.worker()
    for status, fields in [
        ("failed", {"payload": '{"permanent": true}'}),
        ("deadletter", {"max_attempts": 1}),
        ("retry", {}),
    ]:
        becomes(world, worker, submitted(world, "always_fail", **fields), status)


@pytest.mark.settings(worker_pool_size=4, retry_base_seconds=7, retry_cap_seconds=70)
def test_task_8_waits_before_a_retry(code, world):
    asked = []

    def backoff_delay(attempt, base, cap):
        asked.append((attempt, base, cap))
        return 500.0

    world.put(backoff_delay=backoff_delay)
    job = submitted(world, "always_fail", attempts=1)
    becomes(world, world.worker(), job, "retry")
    assert asked == [(2, 7, 70)], diagnose(
        "what backoff_delay was asked",
        asked,
        [(2, 7, 70)],
        [
            (not asked, "nothing, and the retry is due at once: fill in outcome.delay (dataclasses.replace)"),
        ],
    )
    about_now(world, job, "next_run_at", "after a failure, with a backoff_delay of 500 s", after=500)


@pytest.mark.settings(worker_pool_size=4)
@pytest.mark.parametrize("piece", ["take", "claim", "run_handler", "finish"])
def test_task_8_outlives_an_error(code, world, piece):
    errors = {
        "take": RedisConnectionError("Redis is away (says this test)"),
        "claim": Unavailable("the database is away (says this test)"),
        "run_handler": RuntimeError(
            "a bug in run_handler (says this test): catch it in your loop, and log it"
        ),
        "finish": Unavailable("the database is away (says this test)"),
    }
    failing, raised = once(getattr(world.app.parts, piece), errors[piece])
    world.put(**{piece: failing})
    submitted(world)
    worker = world.worker()
    try:
        came(world, worker, lambda: raised, f"the worker calls {piece}")
        job = submitted(world)
        becomes(world, worker, job, "succeeded", f"{piece} raised once, and the next job was left: ")
    except (RedisError, psycopg.OperationalError, RuntimeError, BaseExceptionGroup) as error:
        if is_stub(error):
            raise
        pytest.fail(
            f"{piece} raised {type(errors[piece]).__name__} once, and that ended Worker.run: log it, pause, and go on"
        )


@pytest.mark.settings(worker_pool_size=4)
def test_task_8_pauses_while_redis_is_away(code, world):
    calls = []

    async def take(app, limit):
        calls.append(limit)
        await asyncio.sleep(0)
        raise RedisConnectionError("Redis is away (says this test)")

    world.put(take=take)
    worker = world.worker()
    came(world, worker, lambda: calls, "the worker calls take")
    end = time.monotonic() + 0.25
    while time.monotonic() < end and len(calls) < 150:
        time.sleep(0.005)
    assert len(calls) < 150, (
        f"Redis is away, and the worker called take {len(calls)} times within a quarter of a second: pause between "
        "two tries, with asyncio.sleep"
    )


@pytest.mark.settings(worker_pool_size=4)
def test_task_8_ends_when_it_is_cancelled(code, world):
    waiting = []

    async def take(app, limit):
        waiting.append(limit)
        await asyncio.sleep(0.1)
        return []

    async def cancel_it(app):
        task = asyncio.create_task(code.Worker(app).run())
        while not waiting and not task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task}, timeout=3)
        return task.done()

    world.put(take=take)
    assert world.run(cancel_it) is True, (
        "Worker.run was cancelled, and goes on: CancelledError must go through. A bare `except:` catches it, and so "
        "does `except BaseException`; `except Exception` does not"
    )


def test_task_8_agrees_with_the_reference_on_every_input(judge):
    judge.task(8)


# -- task 9


def count_running(world):
    return world.sql("SELECT count(*) AS n FROM tasks WHERE status = 'running'")[0]["n"]


def started(worker, gate, number):
    try:
        worker.until(lambda: len(gate.started) >= number, "", SOON)
    except Hang as hang:
        if "stands still" in str(hang):
            raise
        pytest.fail(f"the handlers of {number} jobs should have begun by now, and {len(gate.started)} have")


@pytest.mark.settings(worker_pool_size=3)
def test_task_9_runs_several_jobs_side_by_side(code, world, gate):
    gated_jobs(world, 3)
    worker = world.worker()
    try:
        worker.until(lambda: len(gate.started) == 3, "", SOON)
    except Hang:
        pytest.fail(
            f"worker_pool_size is 3, three jobs wait, and only {len(gate.started)} of their handlers run: start a task "
            "for each job, and go on taking"
        )


@pytest.mark.settings(worker_pool_size=2)
def test_task_9_runs_no_more_than_the_pool_holds(code, world, gate):
    gated_jobs(world, 5)
    worker = world.worker()
    started(worker, gate, 2)
    time.sleep(0.15)
    assert len(gate.started) == 2, f"worker_pool_size is 2, and {len(gate.started)} handlers run at once"


@pytest.mark.settings(worker_pool_size=2)
def test_task_9_takes_no_more_than_it_can_start(code, world, gate):
    gated_jobs(world, 5)
    worker = world.worker()
    started(worker, gate, 2)
    time.sleep(0.15)
    left, running = entries_left(world), count_running(world)
    assert (left, running) == (3, 2), (
        f"two handlers run, of two; of five entries {left} are left and {running} jobs are claimed: what a worker "
        "takes and can't start, no other worker can start. Wait for a free slot first, then take"
    )


@pytest.mark.settings(worker_pool_size=1)
def test_task_9_uses_a_slot_again(code, world, gate):
    jobs = gated_jobs(world, 3)
    worker = world.worker()
    for number, job in enumerate(jobs, 1):
        started(worker, gate, number)
        gate.open.add(job.task_id)
    becomes(world, worker, jobs[-1], "succeeded")


@pytest.mark.settings(worker_pool_size=1)
@pytest.mark.parametrize("piece", ["run_handler", "finish"])
def test_task_9_frees_the_slot_of_a_job_that_failed_badly(code, world, piece):
    error = {
        "run_handler": RuntimeError(
            "a bug in run_handler (says this test), which nobody caught: catch and log it in the task"
        ),
        "finish": RuntimeError(
            "a bug in finish (says this test), which nobody caught: catch and log it in the task"
        ),
    }[piece]
    failing, raised = once(getattr(world.app.parts, piece), error)
    world.put(**{piece: failing})
    submitted(world)
    worker = world.worker()
    came(world, worker, lambda: raised, f"the worker calls {piece}")
    becomes(
        world, worker, submitted(world), "succeeded", f"{piece} raised for a job, and its slot stays taken: "
    )


@pytest.mark.settings(worker_pool_size=2)
def test_task_9_the_failure_of_one_job_is_not_that_of_another(code, world, gate):
    ordinary = world.app.parts.run_handler
    failed = []

    async def run_handler(app, job):
        if job.type == "gated":
            return await ordinary(app, job)
        failed.append(job)
        raise RuntimeError(
            "a bug in one job (says this test), which nobody caught: catch and log it in the task"
        )

    world.put(run_handler=run_handler)
    (job,) = gated_jobs(world, 1)
    worker = world.worker()
    started(worker, gate, 1)
    submitted(world)
    came(world, worker, lambda: failed or gate.cancelled, "the worker runs the second job")
    gate.open.add(job.task_id)
    try:
        came(world, worker, lambda: gate.ended or gate.cancelled, "the first handler ends")
    except (RuntimeError, BaseExceptionGroup) as error:
        if is_stub(error):
            raise
        pytest.fail(
            "one job had a bug, and that ended Worker.run and every other job with it: a TaskGroup cancels all its "
            "tasks when one fails, so nothing may leave a job's task"
        )
    assert not gate.cancelled, (
        "one job had a bug, and another one's handler was cancelled for it: a TaskGroup cancels all its tasks when "
        "one fails, so nothing may leave a job's task"
    )
    becomes(world, worker, job, "succeeded")


@pytest.mark.settings(worker_pool_size=2)
def test_task_9_keeps_its_tasks(code, world):
    waits = []

    async def run_handler(app, job):
        future = asyncio.get_running_loop().create_future()
        waits.append(weakref.ref(future))
        await future

    world.put(run_handler=run_handler)
    job = submitted(world)
    worker = world.worker()
    came(world, worker, lambda: waits, "the worker runs the job")

    def wake(app):
        gc.collect()
        future = waits[0]()
        if future is None:
            return False
        future.set_result(None)
        return True

    assert world.run(wake), (
        "Python's garbage collector threw the job's task away in the middle: the event loop only knows a task "
        "weakly. Keep it, in a set for instance, until it is done"
    )
    becomes(world, worker, job, "succeeded")


@pytest.mark.settings(worker_pool_size=1)
def test_task_9_rests_while_every_slot_is_taken(code, world, gate):
    gated_jobs(world, 2)
    worker = world.worker()
    started(worker, gate, 1)
    before = world.run(processor_seconds)
    time.sleep(0.3)
    used = world.run(processor_seconds) - before
    assert used < 0.04, (
        f"every slot was taken, and the event loop was busy for {used:.2f} of 0.3 s: wait for a slot with something "
        "that wakes you, such as a semaphore, an event or asyncio.wait"
    )


def test_task_9_agrees_with_the_reference_on_every_input(judge):
    judge.task(9)


@pytest.mark.settings(worker_pool_size=2)
def test_task_9_forgets_the_tasks_that_are_done(code, world):
    number, seen = 40, []

    async def run_handler(app, job):
        seen.append(weakref.ref(asyncio.current_task()))

    world.put(run_handler=run_handler)
    jobs = [world.insert() for _ in range(number)]
    push(world, *jobs)
    worker = world.worker()
    becomes(world, worker, jobs[-1], "succeeded")
    came(world, worker, lambda: world.waiting_pops(), "it takes again, when all jobs are done")

    def kept(app):
        gc.collect()
        alive = {id(task): task for task in (one() for one in seen) if task is not None}
        return sum(task.done() for task in alive.values())

    done = world.run(kept)
    assert done <= number // 2, (
        f"{number} jobs have ended, two at a time; expected their tasks to be forgotten, and {done} of "
        "them are still kept by somebody, for garbage collection left them. A set of tasks that only grows fills the "
        "memory of a worker that runs for weeks: take out what is done"
    )


def processor_seconds(app):
    return time.thread_time()


# -- task 10


@pytest.mark.settings(worker_pool_size=4)
def test_task_10_ends_a_worker_that_waits_for_entries(code, world):
    worker = world.worker()
    becomes(world, worker, submitted(world), "succeeded")
    worker.stop(within=5)


@pytest.mark.settings(worker_pool_size=4)
def test_task_10_lets_a_handler_come_to_its_end(code, world, gate):
    (job,) = gated_jobs(world, 1)
    worker = world.worker()
    started(worker, gate, 1)
    stopping = worker.begin_to_stop()
    end = time.monotonic() + 0.15
    while time.monotonic() < end and not stopping.done and not gate.cancelled:
        world.end_waiting_pops()
        time.sleep(0.005)
    assert not gate.cancelled, "stop cancelled the handler at once: its work is lost. Let it come to its end"
    if stopping.done:
        stopping.result()
        pytest.fail(
            "stop returned while a handler was still running: it returns when run has returned, and run when the last "
            "job has come to its end"
        )
    gate.open.add(job.task_id)
    worker.stop(within=5, stopping=stopping)
    row = world.row(job.task_id)
    assert row.status == "succeeded", (
        f"stop and run have returned, and the job is {row.status}: wait until its task is done, finish included"
    )


@pytest.mark.settings(worker_pool_size=2)
def test_task_10_takes_nothing_more(code, world, gate):
    first, second, third = gated_jobs(world, 3)
    worker = world.worker()
    started(worker, gate, 2)
    stopping = worker.begin_to_stop()
    for _ in range(3):
        world.run(processor_seconds)  # a few turns of the loop, so that stop has begun
    gate.open.add(first.task_id)
    came(world, worker, lambda: world.row(first.task_id).status == "succeeded", "the first job succeeds")
    time.sleep(0.1)
    gate.open |= {second.task_id, third.task_id}
    worker.stop(within=5, stopping=stopping)
    assert third.task_id not in gate.started, (
        "stop had been called while every slot was taken, and when one was free the worker took another job"
    )
    assert entries_left(world) == 1, "stop had been called, and the entry of the next job is gone"


@pytest.mark.settings(worker_pool_size=4)
def test_task_10_returns_when_run_has_returned(code, world):
    calls, over = [], []

    async def take(app, limit):
        calls.append(limit)
        while not over:  # noqa: ASYNC110
            await asyncio.sleep(0.003)
        return []

    world.put(take=take)
    worker = world.worker()
    came(world, worker, lambda: calls, "the worker calls take")
    stopping = worker.begin_to_stop()
    world.turns()
    too_early = stopping.done
    over.append(True)
    assert not too_early, (
        "no handler ran, and stop returned at once, while run was still in the middle of a take, which may bring an "
        "entry: stop returns when run has returned"
    )
    worker.stop(within=5, stopping=stopping)


@pytest.mark.settings(worker_pool_size=4)
def test_task_10_loses_nothing_that_the_last_take_brought(code, world):
    job = world.insert()
    calls, cancelled, brought = [], [], []

    async def take(app, limit):
        calls.append(limit)
        if len(calls) > 1:
            await asyncio.sleep(0.05)
            return []
        try:
            while not brought:  # noqa: ASYNC110
                await asyncio.sleep(0.003)
        except asyncio.CancelledError:
            cancelled.append(limit)
            raise
        return [entry_of(job)]

    world.put(take=take)
    worker = world.worker()
    came(world, worker, lambda: calls, "the worker calls take")
    stopping = worker.begin_to_stop()
    time.sleep(0.05)
    brought.append(True)
    worker.stop(within=5, stopping=stopping)
    assert not cancelled, (
        "stop cancelled a take: Redis may have handed the entry out already, and then nobody has it. Wait for the take"
    )
    row = world.row(job.task_id)
    assert row.status == "succeeded" or entries_left(world) == 1, (
        "a take was under way when stop was called. It brought an entry, and nobody has it now: run the job, or push "
        "the entry back"
    )


@pytest.mark.settings(worker_pool_size=4)
def test_task_10_ends_a_worker_whose_redis_is_away(code, world):
    calls = []

    async def take(app, limit):
        calls.append(limit)
        await asyncio.sleep(0)
        raise RedisConnectionError("Redis is away (says this test)")

    world.put(take=take)
    worker = world.worker()
    came(world, worker, lambda: calls, "the worker calls take")
    worker.stop(within=5)


def test_task_10_agrees_with_the_reference_on_every_input(judge):
    judge.task(10)


# -- task 11, stretch


@pytest.mark.settings(lease_seconds=500)
def test_task_11_extends_the_lease(code, world):
    job = world.insert("running")
    got = world.run(code.heartbeat, [job])
    assert got == {job.task_id}, diagnose(
        "heartbeat, of a job that is ours",
        got,
        {job.task_id},
        [
            (got is None, "it returned nothing"),
            (
                isinstance(got, list),
                "a list; the answer is a set, for the worker asks whether an id is in it",
            ),
        ],
    )
    about_now(world, job, "lease_expires_at", "after a heartbeat", after=500)
    columns(
        world.row(job.task_id),
        "after a heartbeat",
        version=job.version,
        updated_at=job.updated_at,
        status="running",
        attempts=1,
        worker=job.worker,
    )


def test_task_11_extends_several_leases_at_once(code, world):
    jobs = [world.insert("running", attempts=number) for number in (1, 2, 3)]
    stranger = world.insert("running")
    lost = world.update(world.insert("running"), "succeeded")
    got = world.run(code.heartbeat, [*jobs, lost])
    assert got == {job.task_id for job in jobs}, diagnose(
        "how many of three running jobs and a finished one are ours", len(got), 3
    )
    unchanged(world, stranger, "a heartbeat extended the lease of a job that it was not asked for")


def test_task_11_asks_nothing_for_no_jobs(code, world):
    stranger = world.insert("running")
    assert world.run(code.heartbeat, []) == set()
    unchanged(world, stranger, "a heartbeat of no jobs wrote to a row")


def test_task_11_revives_no_job_that_is_not_running(code, world):
    for status in ("retry", "cancelled", "succeeded", "deadletter", "queued"):
        job = world.insert("running")
        changed = world.update(job, status)
        got = world.run(code.heartbeat, [job])
        assert got == set(), f"the job is {status}, and heartbeat counts it as ours"
        unchanged(world, changed, f"heartbeat wrote to a {status} job")


def test_task_11_leaves_a_later_attempt_alone(code, world):
    job = world.insert("running")
    later = world.update(job, "running", attempts=2, worker="another/2")
    got = world.run(code.heartbeat, [job])
    assert got == set(), (
        "the job runs again, in attempt 2, for another worker, and heartbeat counts our attempt 1 as alive: the "
        "attempt number is the fence, the id alone is none"
    )
    unchanged(world, later, "heartbeat extended the lease of another worker's attempt")


def test_task_11_uses_the_clock_of_the_database(code, world):
    job = world.insert("running")
    with an_hour_ahead(code):
        world.run(code.heartbeat, [job])
    about_now(world, job, "lease_expires_at", "after heartbeat", after=world.settings.lease_seconds)


def test_task_11_loses_against_the_reaper(code, world):
    job = world.insert("running")
    with world.locked(job, "retry") as lock:
        running = world.start(code.heartbeat, [job])
        lock.wait_for(running)
        lock.commit()
        got = running.result()
    assert got == set(), "the reaper reached the row first, and heartbeat counts the job as ours"
    assert world.row(job.task_id).status == "retry"


@pytest.mark.settings(lease_seconds=500.75, heartbeat_seconds=100)
def test_task_11_agrees_with_the_reference_on_every_input(judge):
    judge.task(11)


# -- task 12, stretch


def test_task_12_refuses_the_write_of_an_earlier_attempt(code, world):
    job = an_attempt(world)
    later = world.update(job, "running", attempts=3, worker="another/3")
    got = world.run(code.finish, job, code.Outcome(Status.SUCCEEDED))
    row = world.row(job.task_id)
    assert row == later, (
        f"the job runs again, in attempt 3, and the finish of attempt 2 made it {row.status}: the id and the status "
        "say nothing about whose attempt it is. Ask for the attempt number too"
    )
    assert got is False, "the job runs again for another worker, and finish said that it had written it"
    assert world.attempts(job.task_id) == [], "the finish was refused, and left a row in task_attempts"


def test_task_12_refuses_it_when_the_job_is_claimed_meanwhile(code, world):
    job = an_attempt(world)
    with world.locked(job, "running", attempts=3, worker="another/3") as lock:
        running = world.start(code.finish, job, code.Outcome(Status.FAILED, "too late"))
        lock.wait_for(running)
        lock.commit()
        got = running.result()
    row = world.row(job.task_id)
    assert (row.status, row.attempts) == ("running", 3), (
        f"another worker claimed the job while finish was on its way, and finish made it {row.status}: the attempt "
        "number belongs into the WHERE of the UPDATE"
    )
    assert got is False, "another worker claimed the job meanwhile, and finish said that it had written it"


def test_task_12_still_finishes_the_newest_attempt(code, world):
    job = an_attempt(world)
    later = world.update(job, "running", attempts=3, worker="another/3")
    assert world.run(code.finish, job, code.Outcome(Status.SUCCEEDED)) is False
    assert world.run(code.finish, later, code.Outcome(Status.SUCCEEDED)) is True, (
        "attempt 3 is the newest, and its finish was refused"
    )
    assert [row["attempt"] for row in world.attempts(job.task_id)] == [3]


@pytest.mark.settings(lease_seconds=500, heartbeat_seconds=100)
def test_task_12_agrees_with_the_reference_on_every_input(judge):
    judge.task(12)


# -- task 13, stretch


def expired(world, **columns):
    job = world.insert("running", **columns)
    world.sql(
        "UPDATE tasks SET lease_expires_at = now() - interval '1 second' WHERE task_id = %s", job.task_id
    )
    return world.row(job.task_id)


def test_task_13_ends_an_attempt_whose_lease_ran_out(code, world):
    for attempts, status in [(1, "retry"), (2, "retry"), (3, "deadletter")]:
        job = expired(world, attempts=attempts, max_attempts=3)
        got = world.run(code.reap)
        assert got == 1, diagnose(
            "reap, with one lease that ran out", got, 1, [(got is None, "it returned nothing")]
        )
        row = world.row(job.task_id)
        assert row.status == status, diagnose(
            f"after reap of attempt {attempts} of 3: the column status",
            str(row.status),
            status,
            [
                (
                    row.status == "retry",
                    "the lost attempt counts: a job that kills its worker each time must come to an end",
                )
            ],
        )
        columns(
            row,
            "after reap",
            attempts=attempts,
            lease_expires_at=None,
            worker=None,
            version=job.version + 1,
        )
        about_now(world, job, "updated_at", "after reap")
        about_now(world, job, "next_run_at" if status == "retry" else "finished_at", "after reap")
        assert row.last_error, "after reap: last_error is empty; say that the lease ran out"


def test_task_13_writes_a_row_for_the_attempt(code, world):
    job = expired(world, attempts=2)
    world.run(code.reap)
    got = world.attempts(job.task_id)
    assert [(row["attempt"], row["ok"], row["started_at"]) for row in got] == [(2, False, job.started_at)], (
        diagnose(
            "rows of task_attempts after reap", len(got), "one, of attempt 2, not ok, with its started_at"
        )
    )
    assert got[0]["error"], "task_attempts: error is empty; say that the lease ran out"


def test_task_13_writes_both_rows_or_neither(code, world):
    job = expired(world)
    world.sql(
        "INSERT INTO task_attempts VALUES (%s, %s, now(), now(), false, 'in the way, so that the second row fails')",
        job.task_id,
        job.attempts,
    )
    raised = None
    try:
        world.run(code.reap)
    except psycopg.Error as error:
        raised = error
    row = world.row(job.task_id)
    assert raised is None or row.status == "running", (
        f"the row of task_attempts could not be written, and the job is {row.status} all the same: two transactions. "
        "Put both into one, with app.db.transaction, or into one statement"
    )
    [written] = world.attempts(job.task_id)
    assert raised or written["error"] == row.last_error, (
        "a row of task_attempts with this key was there already, and reap ended the attempt without one of its own: "
        f"its error is still {written['error']!r}. Write over it, or let the error undo both"
    )


def test_task_13_leaves_a_lease_that_lasts(code, world):
    alive = world.insert("running")
    others = [world.insert(status) for status in ("queued", "retry", "succeeded")]
    assert world.run(code.reap) == 0
    for job in (alive, *others):
        unchanged(world, job, f"reap wrote to a {job.status} job whose lease has not run out")


def test_task_13_loses_against_a_heartbeat(code, world):
    job = expired(world)
    with world.locked(job, "running") as lock:
        running = world.start(code.reap)
        lock.wait_for(running)
        lock.commit()
        got = running.result()
    assert world.row(job.task_id).status == "running", (
        "a heartbeat came while reap was on its way, and reap ended the attempt all the same: whether the lease has "
        "run out belongs into the WHERE of the UPDATE"
    )
    assert got == 0, diagnose("reap, when a heartbeat reached the only row first", got, 0)


def test_task_13_loses_against_another_reaper(code, world):
    job = expired(world)
    with world.locked(job, "retry") as lock:
        running = world.start(code.reap)
        lock.wait_for(running)
        lock.commit()
        got = running.result()
    assert world.row(job.task_id).version == job.version + 1, (
        "another reaper reached the row first, and this one wrote over it"
    )
    assert got == 0, diagnose("reap, when another reaper reached the only row first", got, 0)
    assert world.attempts(job.task_id) == [], "another reaper won, and this one left a row in task_attempts"


def test_task_13_pushes_nothing(code, world):
    job = expired(world)
    world.run(code.reap)
    assert entries_left(world) == 0, (
        "reap pushed an entry, of a job that is not queued: a worker that takes it finds nothing to claim. The pump "
        "queues and pushes"
    )
    assert world.run(world.app.parts.pump_retries) == 1, "the retry is not due, and should be at once"
    assert world.row(job.task_id).status == "queued"


def test_task_13_uses_the_clock_of_the_database(code, world):
    alive = world.insert("running")
    with an_hour_ahead(code):
        world.run(code.reap)
    unchanged(
        world,
        alive,
        "the clock of your process was an hour ahead, and reap ended an attempt whose lease lasts",
    )


@pytest.mark.processes(2)
def test_task_13_agrees_with_the_reference_on_every_input(judge):
    judge.task(13)


# -- task 14, stretch

FAST_BEAT = {"heartbeat_seconds": 0.04, "lease_seconds": 15}


@pytest.mark.settings(**FAST_BEAT)
def test_task_14_keeps_the_lease_of_a_job_that_runs(code, world, gate):
    (job,) = gated_jobs(world, 1)
    worker = world.worker()
    started(worker, gate, 1)
    first = world.row(job.task_id).lease_expires_at
    try:
        worker.until(lambda: world.row(job.task_id).lease_expires_at > first, "", SOON)
    except Hang:
        pytest.fail("the handler runs, and nobody extends its lease: call heartbeat every heartbeat_seconds")
    assert not gate.cancelled, "the job is still ours, and its handler was cancelled"


@pytest.mark.settings(**FAST_BEAT)
@pytest.mark.parametrize("lost", ["cancelled", "another attempt"])
def test_task_14_cancels_the_handler_of_a_lost_job(code, world, gate, lost):
    (job,) = gated_jobs(world, 1)
    worker = world.worker()
    started(worker, gate, 1)
    if lost == "cancelled":
        changed = world.update(job, "cancelled")
    else:
        changed = world.update(job, "running", attempts=2, worker="another/2")
    try:
        worker.until(lambda: gate.cancelled, "", SOON)
    except Hang:
        pytest.fail(
            f"the job was lost ({lost}), and its handler still runs: a job that heartbeat does not return is not "
            "ours any more"
        )
    worker.stop()
    unchanged(world, changed, "the job was lost, and the worker wrote to its row")


@pytest.mark.settings(**FAST_BEAT, worker_pool_size=2)
def test_task_14_leaves_the_other_handlers_alone(code, world, gate):
    lost, ours = gated_jobs(world, 2)
    worker = world.worker()
    started(worker, gate, 2)
    world.update(lost, "cancelled")
    came(
        world, worker, lambda: lost.task_id in gate.cancelled, "the handler of the cancelled job is cancelled"
    )
    gate.open.add(ours.task_id)
    came(world, worker, lambda: gate.ended or ours.task_id in gate.cancelled, "the other handler ends")
    assert gate.cancelled == [lost.task_id], (
        "one job was cancelled, and the handler of another, which is ours, was cancelled with it"
    )
    becomes(world, worker, ours, "succeeded")


@pytest.mark.settings(**FAST_BEAT, worker_pool_size=1)
def test_task_14_uses_the_slot_again(code, world, gate):
    (lost,) = gated_jobs(world, 1)
    worker = world.worker()
    started(worker, gate, 1)
    world.update(lost, "cancelled")
    came(world, worker, lambda: gate.cancelled, "the handler of the cancelled job is cancelled")
    becomes(world, worker, submitted(world), "succeeded", "after a handler was cancelled, ")


@pytest.mark.settings(**FAST_BEAT)
def test_task_14_outlives_a_heartbeat_that_failed(code, world, gate):
    away = Unavailable("the database is away (says this test), and nobody caught it")
    failing, raised = once(world.app.parts.heartbeat, away, when=lambda: gate.started)
    world.put(heartbeat=failing)
    (job,) = gated_jobs(world, 1)
    worker = world.worker()
    started(worker, gate, 1)
    first = world.row(job.task_id).lease_expires_at
    try:
        came(world, worker, lambda: raised, "the worker calls heartbeat")
        worker.until(lambda: world.row(job.task_id).lease_expires_at > first, "", SOON)
    except psycopg.OperationalError:
        pytest.fail("one heartbeat failed, and that ended Worker.run: log it, and try again at the next beat")
    except Hang:
        if not gate.cancelled:
            pytest.fail("one heartbeat failed, and no other followed: log it, and try again at the next beat")
    assert not gate.cancelled, (
        "one heartbeat failed, and the handler was cancelled: the lease still lasts, so nothing is lost yet"
    )
    gate.open.add(job.task_id)
    becomes(world, worker, job, "succeeded")


@pytest.mark.settings(heartbeat_seconds=0.2, lease_seconds=15)
def test_task_14_does_not_cut_a_finish(code, world, gate):
    heartbeat, finish = world.app.parts.heartbeat, world.app.parts.finish
    asked, answered, finishing, written, told, cut = [], [], [], [], [], []

    async def late_heartbeat(app, jobs):
        asked.append(jobs)
        while jobs and not gate.ended:  # noqa: ASYNC110  (it was sent while the handler ran, and is slow to arrive)
            await asyncio.sleep(0.003)
        for _ in range(
            50
        ):  # a worker that waits for this answer before it finishes may, and then nothing is cut
            await asyncio.sleep(0)
        while jobs and finishing and not written:  # noqa: ASYNC110
            await asyncio.sleep(0.003)
        ours = await heartbeat(app, jobs)
        answered.extend(jobs)
        return ours

    async def slow_finish(app, job, outcome):
        finishing.append(job)
        try:
            answer = await finish(app, job, outcome)
            written.append(job)
            while not told:  # noqa: ASYNC110  (the row is written, and the answer is slow to come)
                await asyncio.sleep(0.003)
        except asyncio.CancelledError:
            cut.append(job)
            raise
        return answer

    world.put(heartbeat=late_heartbeat, finish=slow_finish)
    (job,) = gated_jobs(world, 1)
    worker = world.worker()
    started(worker, gate, 1)
    try:
        worker.until(lambda: any(asked), "", SOON)
    except Hang:
        pytest.fail("the handler runs, and nobody extends its lease: call heartbeat every heartbeat_seconds")
    gate.open.add(job.task_id)
    came(world, worker, lambda: written, "the worker calls finish")
    with suppress(Hang):  # a worker may ask no more about a job that it is finishing
        worker.until(lambda: answered or cut, "", 2)
    world.turns()
    told.append(True)
    assert not cut, (
        "the job was missing from a heartbeat's answer, for its own finish had just been written, and the worker "
        "cancelled its task in the middle of that finish: cancel handlers, and let a finish come to its end"
    )
    becomes(world, worker, job, "succeeded")
    worker.stop()


def test_task_14_agrees_with_the_reference_on_every_input(judge):
    judge.task(14)


# -- task 15, stretch


def test_task_15_gives_a_job_back(code, world):
    job = world.insert("running", attempts=2, max_attempts=3)
    got = world.run(code.give_back, [job])
    row = world.row(job.task_id)
    # With or without the payload: nobody runs a job that was given back.
    assert got in ([row], [replace(row, payload_json=None)]), diagnose(
        "give_back, of a job that is ours",
        got,
        [row],
        [
            (got is None, "it returned nothing"),
            (
                isinstance(got, list) and got and isinstance(got[0], dict),
                "rows as dicts; Job.from_row makes a Job",
            ),
        ],
    )
    assert row.attempts == 2, diagnose(
        "after give_back: the column attempts",
        row.attempts,
        2,
        [
            (
                row.attempts == 1,
                "the attempt was taken back: then the next claim has the same number, and the fence is open",
            )
        ],
    )
    columns(
        row,
        "after give_back",
        status="queued",
        max_attempts=4,
        worker=None,
        lease_expires_at=None,
        version=job.version + 1,
    )
    for column in ("queued_at", "pushed_at", "updated_at"):
        about_now(world, job, column, "after give_back")
    assert row.queued_at > job.queued_at, "queued_at is still the time of the first submit"


def test_task_15_uses_the_clock_of_the_database(code, world):
    job = world.insert("running")
    with an_hour_ahead(code):
        world.run(code.give_back, [job])
    for column in ("queued_at", "pushed_at", "updated_at"):
        about_now(world, job, column, "after give_back")


def test_task_15_gives_back_only_what_is_ours(code, world):
    cancelled = world.insert("running")
    changed = world.update(cancelled, "cancelled")
    stolen = world.insert("running")
    later = world.update(stolen, "running", attempts=2, worker="another/2")
    ours = world.insert("running")
    got = world.run(code.give_back, [cancelled, stolen, ours])
    unchanged(world, changed, "give_back queued a job that was cancelled")
    unchanged(
        world, later, "give_back queued a job that runs for another worker: ask for the attempt number too"
    )
    assert [job.task_id for job in got] == [ours.task_id]
    assert world.run(code.give_back, []) == []


def test_task_15_gives_nothing_back_that_was_lost_meanwhile(code, world):
    job = world.insert("running")
    with world.locked(job, "cancelled") as lock:
        running = world.start(code.give_back, [job])
        lock.wait_for(running)
        lock.commit()
        got = running.result()
    assert got == [], "a cancel reached the row first, and give_back returned the job"
    assert world.row(job.task_id).status == "cancelled"


SHORT_GRACE = {"shutdown_grace_seconds": stretched(0.1)}


@pytest.mark.settings(**SHORT_GRACE)
def test_task_15_gives_back_what_does_not_end_in_time(code, world, gate):
    (job,) = gated_jobs(world, 1)
    worker = world.worker()
    started(worker, gate, 1)
    try:
        worker.stop(within=5)
    except Hang:
        pytest.fail(
            f"shutdown_grace_seconds is {SHORT_GRACE['shutdown_grace_seconds']:g}, a handler never ends, and stop "
            "waits for it: cancel it after the grace"
        )
    assert gate.cancelled, "stop returned, and the handler still runs"
    row = world.row(job.task_id)
    assert row.status == "queued", (
        f"stop cancelled the handler, and the job is {row.status}: give it back, so that another worker need not "
        "wait for its lease to run out"
    )
    assert world.redis.lrange("q:default", 0, -1) == [bytes_of(job)], (
        "the job was given back, and its entry is not in the queue: push what give_back returned"
    )


@pytest.mark.settings(**FAST_BEAT, shutdown_grace_seconds=60)
def test_task_15_keeps_the_lease_while_it_waits(code, world, gate):
    ordinary = world.app.parts.take
    calls, over, ended = [], [], []

    async def take(app, limit):
        calls.append(limit)
        if len(calls) == 1:
            return await ordinary(app, limit)
        while not over:  # noqa: ASYNC110
            await asyncio.sleep(0.003)
        ended.append(limit)
        return []

    world.put(take=take)
    (job,) = gated_jobs(world, 1)
    worker = world.worker()
    started(worker, gate, 1)
    stopping = worker.begin_to_stop()
    world.turns()
    over.append(True)
    came(world, worker, lambda: ended or stopping.done, "the last take ends")
    world.turns()  # now all that is left is to wait for the handler
    # A heartbeat may have been under way just then. It extends the lease once more, and not three times.
    for _ in range(3):
        lease = world.row(job.task_id).lease_expires_at
        try:
            worker.until(lambda before=lease: world.row(job.task_id).lease_expires_at > before, "", SOON)
        except Hang:
            pytest.fail(
                "stop waits for a handler, and nobody extends the lease of its job any more. When it runs out, another "
                "worker runs the job a second time: let the heartbeats go on until the last handler has ended"
            )
    assert world.run(world.app.parts.reap) == 0
    gate.open.add(job.task_id)
    worker.stop(within=5, stopping=stopping)
    row = world.row(job.task_id)
    ended = (row.status, row.attempts, len(world.attempts(job.task_id)))
    assert ended == ("succeeded", 1, 1), diagnose(
        "status, attempts and rows of task_attempts, after a handler that ended while stop waited",
        ended,
        ("succeeded", 1, 1),
    )


@pytest.mark.settings(shutdown_grace_seconds=stretched(0.5))  # whoever waits once more as long sees it stop
def test_task_15_gives_a_job_back_only_when_its_handler_has_stopped(code, world):
    seen, begun = [], []

    async def tidy(app, job):
        begun.append(job)
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.03)
            row = await app.db.fetch_one("SELECT status FROM tasks WHERE task_id = %s", [job.task_id])
            seen.append(row["status"])

    world.handler("tidy", tidy)
    job = submitted(world, "tidy")
    worker = world.worker()
    came(world, worker, lambda: begun, "the handler runs")
    worker.stop(within=5)
    assert seen == ["running"], diagnose(
        "the job's status while its handler was still tidying up",
        seen,
        ["running"],
        [
            (
                seen == ["queued"],
                "queued: another worker could already run it. Wait for the task that you cancelled",
            ),
            (not seen, "stop did not wait for the handler's finally"),
        ],
    )
    status = str(world.row(job.task_id).status)
    assert status == "queued", (
        f"the handler had stopped soon after it was cancelled, and when stop returned its job was {status}, not "
        "queued: wait until it has stopped, and give its job back"
    )


@pytest.mark.settings(**SHORT_GRACE)
def test_task_15_leaves_a_thread_that_goes_on_to_its_lease(code, world):
    begun, release = threading.Event(), threading.Event()

    def stubborn(app, job):
        begun.set()
        release.wait(20)

    world.handler("stubborn", stubborn)
    job = submitted(world, "stubborn")
    worker = world.worker()
    try:
        came(world, worker, begun.is_set, "the handler runs")
        worker.stop(within=5)
        row = world.row(job.task_id)
        assert row.status == "running", (
            f"the handler is a thread that can't be stopped and still runs, and the job is {row.status}: it would "
            "run twice at once. Ask app.handlers.abandoned(job), and leave it to its lease"
        )
    finally:
        release.set()


@pytest.mark.settings(shutdown_grace_seconds=5)
def test_task_15_gives_nothing_back_that_ends_in_time(code, world, gate):
    (job,) = gated_jobs(world, 1)
    worker = world.worker()
    started(worker, gate, 1)
    stopping = worker.begin_to_stop()
    gate.open.add(job.task_id)
    worker.stop(within=5, stopping=stopping)
    row = world.row(job.task_id)
    assert (row.status, row.max_attempts) == ("succeeded", job.max_attempts), (
        f"the handler ended within the grace, and the job is {row.status}"
    )


@pytest.mark.settings(lease_seconds=500, heartbeat_seconds=100)
def test_task_15_agrees_with_the_reference_on_every_input(judge):
    judge.task(15)
