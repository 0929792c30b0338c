"""Take, claim, run, decide and finish, each on its own."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from scheduler.app import App, open_app
from scheduler.config import Settings
from scheduler.database import TooSlow, Unavailable
from scheduler.entry import Entry
from scheduler.job_queue import queue_name
from scheduler.jobs import Job, Priority, Status
from scheduler.parts import reference
from scheduler.worker.handlers import PermanentError
from scheduler.worker.one_job import Outcome, TimedOut, decide, sentence

from tests.faults.proxy import Proxy, postgres_reply, proxy
from tests.faults.tools import (
    at_port,
    attempt_rows,
    counted,
    database_port,
    handling,
    insert,
    queued_ids,
    row,
    rows,
)
from tests.helpers import submit, until
from tests.patience import within

DONE = Outcome(Status.SUCCEEDED)
CLAIM = b"started_at = now(), pushed_at = NULL"
FINISH = b"v(id, attempt, status, error, delay)"


def entry(job: Job) -> Entry:
    return Entry(job.task_id, job.type, job.priority)


async def claimed(app: App, number: int = 1) -> list[Job]:
    ids = await insert(app, number)
    jobs = await app.parts.claim(app, [entry(await row(app, task_id)) for task_id in ids])
    assert len(jobs) == number
    return jobs


@asynccontextmanager
async def through_proxy(app: App) -> AsyncIterator[tuple[App, Proxy]]:
    """A second app, whose database is behind a proxy."""
    async with (
        proxy(database_port(app.settings)) as way,
        open_app(at_port(app.settings, database=way.port), reference()) as other,
    ):
        yield other, way


# Take


async def test_take_pops_the_oldest_entries_of_the_most_urgent_queue_that_has_any(app: App) -> None:
    submitted = {
        priority: [await submit(app, priority=priority) for _ in range(3)] for priority in reversed(Priority)
    }
    for priority in Priority:
        first = await app.parts.take(app, 2)
        assert first == [Entry(task_id, "noop", priority) for task_id in submitted[priority][:2]]
        assert await queued_ids(app, priority) == submitted[priority][2:]
        assert [one.task_id for one in await app.parts.take(app, 2)] == submitted[priority][2:]


async def test_take_waits_at_the_server_and_gives_nothing_if_no_entry_comes(app: App) -> None:
    async def blocked() -> bool:
        clients = await app.queue.redis.client_list()
        return any("b" in one["flags"] and int(one["db"]) == app.settings.redis_db for one in clients)

    taking = asyncio.create_task(app.parts.take(app, 10))
    await until(blocked, "a client of this test waits for an entry")
    assert await within(taking, "the wait for an entry ended") == []


async def test_take_waits_for_an_entry_to_come(app: App) -> None:
    taking = asyncio.create_task(app.parts.take(app, 10))

    task_id = await submit(app)
    assert [one.task_id for one in await taking or await app.parts.take(app, 10)] == [task_id]


async def test_take_drops_and_counts_what_is_no_entry(app: App) -> None:
    task_id = await submit(app)
    await app.queue.redis.lpush(queue_name(Priority.DEFAULT), b"{", b"[1]", b"\xff")
    assert [one.task_id for one in await app.parts.take(app, 10)] == [task_id]
    assert counted(app.metrics.malformed_entries) == 3
    assert await queued_ids(app) == []


# Claim


async def test_a_claim_begins_an_attempt(app: App) -> None:
    task_id = await submit(app)
    (job,) = await app.parts.claim(app, await app.parts.take(app, 10))
    assert job == await row(app, task_id)
    assert (job.status, job.attempts, job.version, job.pushed_at) == (Status.RUNNING, 1, 2, None)
    assert job.worker
    assert job.started_at == job.updated_at
    assert job.started_at is not None
    assert job.lease_expires_at == job.started_at + timedelta(seconds=app.settings.lease_seconds)


async def test_a_claim_of_the_same_entry_twice_gives_the_job_once(app: App) -> None:
    await submit(app)
    (one,) = await app.parts.take(app, 10)
    jobs = await app.parts.claim(app, [one, one, one])
    assert [job.attempts for job in jobs] == [1]
    assert await app.parts.claim(app, [one]) == []


async def test_a_claim_leaves_what_is_not_queued(app: App) -> None:
    queued, cancelled, running = await insert(app, 3)
    entries = [entry(await row(app, task_id)) for task_id in (queued, cancelled, running)]
    await app.parts.cancel_in_database(app, cancelled)
    await app.parts.claim(app, entries[2:])
    stranger = Entry(uuid4(), "noop", Priority.LOW)
    assert [job.task_id for job in await app.parts.claim(app, [*entries, stranger])] == [queued]
    assert (await row(app, cancelled)).version == 2
    assert (await row(app, running)).attempts == 1


async def test_of_twenty_who_claim_at_once_each_job_has_one_winner(app: App, settings: Settings) -> None:
    ids = await insert(app, 200)
    entries = [Entry(task_id, "noop", Priority.DEFAULT) for task_id in ids]
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(open_app(settings, reference())) for _ in range(3)]
        claimers = [app, *others] * 5
        # Batches that overlap, in orders of their own, so that the claims meet on the rows.
        batches = [
            entries[start : start + 20][:: 1 if number % 2 else -1]
            for number in range(20)
            for start in range(0, 200, 20)
        ]
        won = await asyncio.gather(
            *(
                claimers[number % 20].parts.claim(claimers[number % 20], batch)
                for number, batch in enumerate(batches)
            )
        )
    winners = Counter(job.task_id for jobs in won for job in jobs)
    assert winners == dict.fromkeys(ids, 1)
    assert {(job.attempts, job.version) for job in (await rows(app)).values()} == {(1, 2)}


@pytest.mark.parametrize("commits", [False, True], ids=["before the commit", "after the commit"])
async def test_a_claim_whose_reply_was_lost_finds_its_jobs_again(app: App, commits: bool) -> None:
    await insert(app, 4)
    jobs = await rows(app)
    async with through_proxy(app) as (other, way):
        way.cut_after(CLAIM, postgres_reply) if commits else way.cut_before(CLAIM)
        found = await other.parts.claim(other, list(map(entry, jobs.values())))
        assert way.fired.is_set()
    assert {job.task_id for job in found} == set(jobs)
    assert {(job.status, job.attempts, job.version) for job in found} == {(Status.RUNNING, 1, 2)}
    assert len({job.worker for job in found}) == 1


async def test_a_claim_finds_a_job_that_its_lost_first_try_commits_late(app: App) -> None:
    """The connection is lost in mid-statement; the server goes on, and commits it later."""
    (task_id,) = await insert(app, 1)
    await app.db.fetch_all(
        "CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END'"
    )
    await app.db.fetch_all(
        "CREATE TRIGGER slow BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION wait_here()"
    )
    async with through_proxy(app) as (other, way):
        async with app.db._pool.connection() as blocker, blocker.transaction():
            await blocker.execute("SELECT pg_advisory_xact_lock(7)")
            claiming = asyncio.create_task(
                other.parts.claim(other, [Entry(task_id, "noop", Priority.DEFAULT)])
            )
            await until_waiting(app, 1)
            await way.cut()
            await until_waiting(app, 2)
        (job,) = await claiming
    assert (job.task_id, job.attempts) == (task_id, 1)


async def until_waiting(app: App, number: int) -> None:
    async def waiting() -> bool:
        found = await app.db.fetch_one(
            "SELECT count(*) AS n FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(found and found["n"] == number)

    await until(waiting, f"{number} statements wait for the row")


@asynccontextmanager
async def held(app: App, task_id: UUID) -> AsyncIterator[None]:
    """Somebody's open transaction holds the row while the block runs."""
    async with app.db._pool.connection() as somebody, somebody.transaction(force_rollback=True):
        await somebody.execute("SELECT 1 FROM tasks WHERE task_id = %s FOR UPDATE", [task_id])
        yield


async def test_a_locked_row_is_left_out_of_a_claim_and_holds_up_no_other(app: App) -> None:
    ids = await insert(app, 3)
    entries = [entry(await row(app, task_id)) for task_id in ids]
    async with held(app, ids[1]):
        assert {job.task_id for job in await app.parts.claim(app, entries)} == {ids[0], ids[2]}
    assert [job.task_id for job in await app.parts.claim(app, entries)] == [ids[1]]


async def test_the_finish_of_a_locked_row_holds_up_no_other_and_is_written_when_it_is_free(app: App) -> None:
    jobs = await claimed(app, 3)
    async with held(app, jobs[1].task_id):
        late = asyncio.create_task(app.parts.finish(app, jobs[1], DONE))
        assert await asyncio.gather(
            app.parts.finish(app, jobs[0], DONE), app.parts.finish(app, jobs[2], DONE)
        )
        assert not late.done()
    assert await late
    assert {job.status for job in (await rows(app)).values()} == {Status.SUCCEEDED}


async def test_the_finish_of_a_row_that_stays_locked_is_too_slow_and_can_be_tried_again(app: App) -> None:
    (job,) = await claimed(app)
    impatient = replace(app, settings=app.settings.model_copy(update={"heartbeat_seconds": 0.05}))
    async with held(app, job.task_id):
        with pytest.raises(TooSlow):
            await impatient.parts.finish(impatient, job, DONE)
    assert await impatient.parts.finish(impatient, job, DONE)


async def test_a_row_that_an_earlier_job_left_in_task_attempts_stops_no_finish(app: App) -> None:
    """Somebody deletes a job by hand, and submits it again with its id."""
    jobs = await claimed(app, 2)
    await app.db.fetch_all(
        "INSERT INTO task_attempts VALUES (%s, 1, now(), now(), false, 'of a job that is gone')",
        [jobs[0].task_id],
    )
    assert await asyncio.gather(*(app.parts.finish(app, job, DONE) for job in jobs)) == [True, True]
    assert await attempt_rows(app, jobs[0].task_id) == [(1, True, None)]


# Run


async def test_run_returns_what_went_wrong_and_none_if_nothing_did(app: App) -> None:
    (job,) = await claimed(app)
    problem = ValueError("no")

    async def raises(app: App, job: Job) -> None:
        raise problem

    with handling(raises=raises):
        assert await app.parts.run_handler(app, job) is None
        assert await app.parts.run_handler(app, replace(job, type="raises")) is problem
        unknown = await app.parts.run_handler(app, replace(job, type="nobody"))
        assert isinstance(unknown, PermanentError)


async def test_a_cancelled_run_is_cancelled_and_does_not_count_as_a_failure(app: App) -> None:
    (job,) = await claimed(app)
    started = asyncio.Event()

    async def hold(app: App, job: Job) -> None:
        started.set()
        await asyncio.Event().wait()

    with handling(hold=hold):
        run = asyncio.create_task(app.parts.run_handler(app, replace(job, type="hold")))
        await started.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run


# Decide


ERROR = RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "attempts", "max_attempts", "expected"),
    [
        (None, 1, 3, Outcome(Status.SUCCEEDED)),
        (None, 3, 3, Outcome(Status.SUCCEEDED)),
        (ERROR, 1, 3, Outcome(Status.RETRY, "RuntimeError: no")),
        (ERROR, 2, 3, Outcome(Status.RETRY, "RuntimeError: no")),
        (ERROR, 3, 3, Outcome(Status.DEADLETTER, "RuntimeError: no")),
        (ERROR, 4, 3, Outcome(Status.DEADLETTER, "RuntimeError: no")),
        (ERROR, 1, 1, Outcome(Status.DEADLETTER, "RuntimeError: no")),
        (PermanentError("never"), 1, 3, Outcome(Status.FAILED, "never")),
        (PermanentError("never"), 3, 3, Outcome(Status.FAILED, "never")),
        (TimedOut("timed out after 3 s"), 1, 3, Outcome(Status.RETRY, "timed out after 3 s")),
        (TimedOut("timed out after 3 s"), 3, 3, Outcome(Status.DEADLETTER, "timed out after 3 s")),
    ],
)
async def test_the_error_and_the_attempts_left_decide(
    app: App, error: Exception | None, attempts: int, max_attempts: int, expected: Outcome
) -> None:
    (job,) = await claimed(app)
    assert decide(replace(job, attempts=attempts, max_attempts=max_attempts), error) == expected


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("why"), "ValueError: why"),
        (ValueError(), "ValueError"),
        (PermanentError("said plainly"), "said plainly"),
        (ValueError("a\0b"), "ValueError: ab"),
        (ValueError("\ud800"), "ValueError: ?"),
        (ValueError("\U0001f600 ok"), "ValueError: \U0001f600 ok"),
        (ValueError("x" * 5_000_000), "ValueError: " + "x" * 1_988),
    ],
)
def test_a_sentence_is_text_that_the_database_holds(error: Exception, text: str) -> None:
    assert sentence(error) == text


# Finish


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.DEADLETTER])
async def test_a_finish_ends_the_job_and_writes_its_attempt(app: App, status: Status) -> None:
    (job,) = await claimed(app)
    error = None if status is Status.SUCCEEDED else "why"
    assert await app.parts.finish(app, job, Outcome(status, error))
    ended = await row(app, job.task_id)
    assert (ended.status, ended.last_error, ended.version) == (status, error, 3)
    assert (ended.worker, ended.lease_expires_at, ended.next_run_at) == (None, None, None)
    assert ended.finished_at == ended.updated_at
    assert await attempt_rows(app, job.task_id) == [(1, status is Status.SUCCEEDED, error)]


async def test_a_finish_as_retry_is_due_after_its_delay(app: App) -> None:
    (job,) = await claimed(app)
    assert await app.parts.finish(app, job, Outcome(Status.RETRY, "again", 7.5))
    waiting = await row(app, job.task_id)
    assert (waiting.status, waiting.finished_at) == (Status.RETRY, None)
    assert waiting.next_run_at == waiting.updated_at + timedelta(seconds=7.5)
    assert await attempt_rows(app, job.task_id) == [(1, False, "again")]


async def test_a_finish_of_an_earlier_attempt_is_refused(app: App) -> None:
    (first,) = await claimed(app)
    (returned,) = await app.parts.give_back(app, [first])
    (second,) = await app.parts.claim(app, [entry(returned)])
    before = await row(app, first.task_id)
    assert not await app.parts.finish(app, first, DONE)
    assert await row(app, first.task_id) == before
    assert await attempt_rows(app, first.task_id) == []
    assert await app.parts.finish(app, second, DONE)
    assert not await app.parts.finish(app, first, DONE)
    assert await attempt_rows(app, first.task_id) == [(2, True, None)]


async def test_a_finish_of_a_cancelled_job_is_refused(app: App) -> None:
    (job,) = await claimed(app)
    await app.parts.cancel_in_database(app, job.task_id)
    before = await row(app, job.task_id)
    assert not await app.parts.finish(app, job, DONE)
    assert await row(app, job.task_id) == before
    assert await attempt_rows(app, job.task_id) == []


@pytest.mark.parametrize(
    "outcome", [DONE, Outcome(Status.FAILED, "why"), Outcome(Status.RETRY, "again", 60)], ids=str
)
async def test_a_finish_that_is_sent_again_counts_as_written_and_changes_nothing(
    app: App, outcome: Outcome
) -> None:
    (job,) = await claimed(app)
    assert await app.parts.finish(app, job, outcome)
    before = await row(app, job.task_id)
    assert await app.parts.finish(app, job, outcome)
    assert await row(app, job.task_id) == before
    assert len(await attempt_rows(app, job.task_id)) == 1
    other = Outcome(Status.DEADLETTER, "something else")
    assert not await app.parts.finish(app, job, other)  # that was not what was written


async def test_many_finishes_at_once_each_get_their_own_answer(app: App) -> None:
    jobs = await claimed(app, 60)
    for job in jobs[::3]:
        await app.parts.cancel_in_database(app, job.task_id)
    answers = await asyncio.gather(
        *(app.parts.finish(app, job, Outcome(Status.FAILED, str(n))) for n, job in enumerate(jobs))
    )
    assert answers == [n % 3 != 0 for n in range(60)]
    for number, job in enumerate(jobs):
        ended = await row(app, job.task_id)
        assert ended.last_error == (str(number) if number % 3 else None)


async def test_a_finish_that_the_database_refuses_fails_alone(app: App) -> None:
    good, bad = await claimed(app, 2)
    # No sentence has a NUL in it, but a learner's own may.
    answers = await asyncio.gather(
        app.parts.finish(app, good, DONE),
        app.parts.finish(app, bad, Outcome(Status("failed"), "x", delay=float("nan"))),
        app.parts.finish(app, replace(bad, attempts=2**40), DONE),
        return_exceptions=True,
    )
    assert answers[0] is True
    assert isinstance(answers[2], Exception)
    assert (await row(app, good.task_id)).status is Status.SUCCEEDED


async def test_a_finish_whose_reply_was_lost_is_known_to_be_written(app: App) -> None:
    (job,) = await claimed(app)
    async with through_proxy(app) as (other, way):
        way.cut_after(FINISH, postgres_reply)
        with pytest.raises(Unavailable):
            await other.parts.finish(other, job, DONE)
        assert way.fired.is_set()
        assert await other.parts.finish(other, job, DONE)
    assert (await row(app, job.task_id)).version == 3
    assert await attempt_rows(app, job.task_id) == [(1, True, None)]


def test_an_entry_is_what_was_encoded() -> None:
    job = Entry(uuid4(), 'mail \u00e9 "quoted"', Priority.HIGH)
    raw = reference().encode_entry(job)
    assert json.loads(raw) == {"task_id": str(job.task_id), "type": job.type, "priority": "high"}
