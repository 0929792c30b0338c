"""Heartbeat, reaper and give-back, each on its own."""

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from scheduler.app import App, open_app
from scheduler.config import Settings
from scheduler.hints import dead_letters
from scheduler.job_queue import encode_entry
from scheduler.jobs import Job, Priority, Status
from scheduler.parts import reference
from scheduler.worker import batches
from scheduler.worker.batches import fetch_waiting
from scheduler.worker.leases import HEARTBEAT_OF_LOCKED, REAP, Held, heartbeat
from scheduler.worker.one_job import CLAIM_AGAIN, FINISH_LOCKED, Outcome

from tests.faults.tools import attempt_rows, by_label, counted, insert, queued_ids, row, rows
from tests.helpers import until
from tests.patience import SECONDS
from tests.unit.test_one_job import held, until_waiting

DONE = Outcome(Status.SUCCEEDED)


async def claimed(app: App, number: int = 1, **fields: object) -> list[Job]:
    ids = await insert(app, number, **fields)
    jobs = await app.parts.claim(app, [await row(app, task_id) for task_id in ids])
    assert len(jobs) == number
    return jobs


async def end_leases(app: App, *task_ids: UUID) -> None:
    """Let the leases of these jobs run out; of all jobs, if none is named."""
    await app.db.fetch_all(
        "UPDATE tasks SET lease_expires_at = now() - interval '1 second'"
        " WHERE status = 'running' AND (%s OR task_id = ANY(%s::uuid[]))",
        [not task_ids, list(task_ids)],
    )


# Heartbeat


async def test_a_heartbeat_extends_the_lease_and_nothing_else(app: App) -> None:
    (job,) = await claimed(app)
    await end_leases(app)
    before = await row(app, job.task_id)
    assert await app.parts.heartbeat(app, [job]) == {job.task_id}
    after = await row(app, job.task_id)
    assert after.lease_expires_at is not None
    assert before.lease_expires_at is not None
    granted = (after.lease_expires_at - before.lease_expires_at).total_seconds()
    assert app.settings.lease_seconds < granted < app.settings.lease_seconds + 60
    assert replace(after, lease_expires_at=before.lease_expires_at) == before


async def test_a_heartbeat_returns_only_what_is_still_ours(app: App) -> None:
    ours, cancelled, finished, reaped, given_back, taken = await claimed(app, 6)
    held = [ours, cancelled, finished, reaped, given_back, taken]
    await app.parts.cancel_in_database(app, cancelled.task_id)
    assert await app.parts.finish(app, finished, DONE)
    await end_leases(app, reaped.task_id, taken.task_id)
    assert await app.parts.reap(app) == 2
    await app.db.fetch_all(
        "UPDATE tasks SET next_run_at = now() + interval '1 hour' WHERE task_id = %s", [reaped.task_id]
    )
    assert await app.parts.pump_retries(app) == 1
    (again,) = await app.parts.claim(app, [await row(app, taken.task_id)])
    assert len(await app.parts.give_back(app, [given_back])) == 1
    before = await rows(app)
    assert await app.parts.heartbeat(app, held) == {ours.task_id}
    after = await rows(app)
    del before[ours.task_id], after[ours.task_id]
    assert after == before  # a lost lease is not revived, and the next attempt's is not touched
    assert again.attempts == 2
    assert await app.parts.heartbeat(app, [again]) == {taken.task_id}


async def test_a_heartbeat_for_nothing_is_nothing(app: App) -> None:
    assert await app.parts.heartbeat(app, []) == set()


async def test_a_locked_row_holds_up_no_other_heartbeat_and_is_known_to_be_locked(app: App) -> None:
    jobs = await claimed(app, 3)
    await end_leases(app)
    before = await rows(app)
    impatient = replace(app, settings=app.settings.model_copy(update={"heartbeat_seconds": 0.05}))
    async with held(app, jobs[1].task_id):
        ours = await heartbeat(impatient, jobs)
    assert ours == {job.task_id for job in jobs}
    assert isinstance(ours, Held)
    assert ours.locked == {jobs[1].task_id}
    after = await rows(app)
    assert [after[job.task_id] == before[job.task_id] for job in jobs] == [False, True, False]


async def test_a_heartbeat_of_a_row_that_was_locked_for_a_moment_extends_its_lease(app: App) -> None:
    (job,) = await claimed(app)
    await end_leases(app)
    patient = replace(app, settings=app.settings.model_copy(update={"heartbeat_seconds": 40}))
    async with held(app, job.task_id):
        beating = asyncio.create_task(heartbeat(patient, [job]))
        await until_waiting(app, 1)
    ours = await beating
    assert isinstance(ours, Held)
    assert (ours, ours.locked) == ({job.task_id}, frozenset())
    after = await row(app, job.task_id)
    assert after.lease_expires_at is not None
    assert after.lease_expires_at > after.updated_at


@pytest.mark.parametrize("statement", ["heartbeat", "finish", "claim", "reap"])
async def test_rows_are_locked_in_the_order_of_their_ids(app: App, statement: str) -> None:
    """Whoever waits for a row has locked none that comes after it: so no two wait for each other."""
    ids = sorted((uuid4() for _ in range(5)), reverse=True)
    for task_id in ids:
        await (insert(app, 1, task_id=task_id) if statement == "claim" else claimed(app, task_id=task_id))
    numbers = [ids, [1] * 5]
    await end_leases(app)
    sql, params = {
        "reap": (REAP._waiting, [ids, [2] * 5, [datetime.now(UTC)] * 5]),
        "claim": (CLAIM_AGAIN, [ids, "somebody/1", 1.0]),
        "heartbeat": (HEARTBEAT_OF_LOCKED, [*numbers, 1.0]),
        "finish": (FINISH_LOCKED, [*numbers, ["failed"] * 5, ["why"] * 5, [0.0] * 5]),
    }[statement]
    async with held(app, ids[-1]):
        waiting = asyncio.create_task(fetch_waiting(app, SECONDS, sql, params))
        await until_waiting(app, 1)
        free = await app.db.fetch_all("SELECT task_id FROM tasks FOR UPDATE SKIP LOCKED")
    assert {row["task_id"] for row in free} == set(ids[:-1])
    assert {row["task_id"] for row in await waiting} == set(ids)


async def test_a_locked_row_holds_up_no_other_that_is_given_back(app: App) -> None:
    jobs = await claimed(app, 3)
    async with held(app, jobs[1].task_id):
        returned = await app.parts.give_back(app, jobs)
    assert {job.task_id for job in returned} == {jobs[0].task_id, jobs[2].task_id}


@pytest.mark.parametrize("duty", ["reap", "pump", "push again"])
async def test_a_locked_row_holds_up_no_other_that_is_due(app: App, duty: str) -> None:
    first, locked, last = await due(app, duty)
    async with held(app, locked):
        assert await do(app, duty) == 2
    assert await do(app, duty) == 1
    assert first != last


@pytest.mark.parametrize("duty", ["reap", "pump", "push again"])
async def test_a_row_that_the_database_refuses_stops_no_other_that_is_due(app: App, duty: str) -> None:
    ids = await due(app, duty, 20)
    await app.db.fetch_all(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '23514'; END$$"
    )
    await app.db.fetch_all(
        f"CREATE TRIGGER refuses BEFORE UPDATE ON tasks FOR EACH ROW WHEN (OLD.task_id = '{ids[7]}')"
        " EXECUTE FUNCTION refuse()"
    )
    assert await do(app, duty) == 19


@pytest.mark.parametrize("is_locked", [False, True], ids=["free", "locked"])
@pytest.mark.parametrize("duty", ["reap", "pump", "push again"])
async def test_what_has_been_due_longest_comes_first_and_hides_nothing_when_it_is_locked(
    app: App, monkeypatch: pytest.MonkeyPatch, duty: str, is_locked: bool
) -> None:
    ids = await due(app, duty)
    column = {"reap": "lease_expires_at", "pump": "next_run_at", "push again": "pushed_at"}[duty]
    for hours, task_id in enumerate(ids):
        await app.db.fetch_all(
            f"UPDATE tasks SET {column} = {column} - %s * interval '1 hour' WHERE task_id = %s",
            [hours, task_id],
        )
    before = await rows(app)
    monkeypatch.setattr(batches, "MOST_AT_ONCE", 1)
    async with held(app, ids[-1]) if is_locked else nullcontext():
        assert await do(app, duty) == 1
    after = await rows(app)
    assert [task_id for task_id in ids if after[task_id] != before[task_id]] == [ids[-2 if is_locked else -1]]


async def test_a_row_that_an_earlier_job_left_in_task_attempts_stops_no_reaper(app: App) -> None:
    jobs = await claimed(app, 2)
    await app.db.fetch_all(
        "INSERT INTO task_attempts VALUES (%s, 1, now(), now(), true, NULL)", [jobs[0].task_id]
    )
    await end_leases(app)
    assert await app.parts.reap(app) == 2
    assert await attempt_rows(app, jobs[0].task_id) == [(1, False, "lease expired")]


async def test_a_job_is_judged_by_the_entries_of_its_own_queue(app: App) -> None:
    """A queue that is empty says of each of its jobs that the entry is lost, and of no other's."""
    (task_id,) = await insert(app, 1, priority=Priority.LOW)
    await app.queue.push(await row(app, task_id))
    await app.db.fetch_all("UPDATE tasks SET pushed_at = now() - interval '1 day'")
    assert await app.parts.reconcile(app) == 0
    assert await queued_ids(app, Priority.LOW) == [task_id]


async def due(app: App, duty: str, number: int = 3) -> list[UUID]:
    """Jobs for which a duty is due."""
    if duty == "push again":
        ids = await insert(app, number)
        await app.db.fetch_all("UPDATE tasks SET pushed_at = now() - interval '1 day'")
        return ids
    jobs = await claimed(app, number)
    await end_leases(app)
    if duty == "pump":
        assert await app.parts.reap(app) == number
    return [job.task_id for job in jobs]


async def do(app: App, duty: str) -> int:
    duties = {"reap": app.parts.reap, "pump": app.parts.pump_retries, "push again": app.parts.reconcile}
    return await duties[duty](app)


async def test_how_long_one_statement_waits_for_a_lock_is_not_left_to_the_next(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app.db._pool.connection() as connection:

        async def transaction(work: Any) -> Any:
            async with connection.transaction():
                return await work(connection)

        monkeypatch.setattr(app.db, "transaction", transaction)
        [during] = await fetch_waiting(app, 0.25, "SHOW lock_timeout", [])
        after = await (await connection.execute(b"SHOW lock_timeout")).fetchone()
    assert (during, after) == ({"lock_timeout": "250ms"}, {"lock_timeout": "10s"})


# Reaper


async def test_the_reaper_leaves_leases_that_still_run(app: App) -> None:
    (job,) = await claimed(app)
    before = await row(app, job.task_id)
    assert await app.parts.reap(app) == 0
    assert await row(app, job.task_id) == before


async def test_a_reaped_job_with_attempts_left_is_a_retry_that_is_due(app: App) -> None:
    (job,) = await claimed(app, max_attempts=2)
    await end_leases(app)
    assert await app.parts.reap(app) == 1
    reaped = await row(app, job.task_id)
    assert (reaped.status, reaped.attempts, reaped.version) == (Status.RETRY, 1, 3)
    assert (reaped.last_error, reaped.worker, reaped.lease_expires_at) == ("lease expired", None, None)
    assert reaped.finished_at is None
    assert reaped.next_run_at == reaped.updated_at
    assert await attempt_rows(app, job.task_id) == [(1, False, "lease expired")]
    assert counted(app.metrics.leases_expired_total) == 1
    assert counted(app.metrics.jobs_completed) == 0
    assert await queued_ids(app) == []  # pushing is the pump's
    assert await app.parts.pump_retries(app) == 1


async def test_a_reaped_job_without_attempts_left_is_a_dead_letter(app: App) -> None:
    (job,) = await claimed(app, max_attempts=1)
    await end_leases(app)
    assert await app.parts.reap(app) == 1
    reaped = await row(app, job.task_id)
    assert (reaped.status, reaped.attempts, reaped.version) == (Status.DEADLETTER, 1, 3)
    assert (reaped.last_error, reaped.next_run_at) == ("lease expired", None)
    assert reaped.finished_at == reaped.updated_at
    assert await attempt_rows(app, job.task_id) == [(1, False, "lease expired")]
    assert by_label(app.metrics.jobs_completed, "type", "status") == {("noop", "deadletter"): 1}

    async def letters() -> list[bytes]:
        found: list[bytes] = await app.queue.redis.lrange(dead_letters(Priority.DEFAULT), 0, -1)
        return found

    assert await until(letters, "it is in the list of dead letters") == [encode_entry(job)]


async def test_two_reapers_at_once_end_each_attempt_once(app: App, settings: Settings) -> None:
    jobs = await claimed(app, 700)
    await end_leases(app)
    async with open_app(settings, reference()) as other:
        reaped = 0
        while round := sum(await asyncio.gather(*(one.parts.reap(one) for one in (app, other, app, other)))):
            reaped += round
        expired = [counted(one.metrics.leases_expired_total) for one in (app, other)]
    assert reaped == sum(expired) == 700
    assert {(job.status, job.version) for job in (await rows(app)).values()} == {(Status.RETRY, 3)}
    written = await app.db.fetch_one("SELECT count(*) AS n FROM task_attempts")
    assert written is not None
    assert written["n"] == len(jobs)


async def test_a_reaped_attempt_can_finish_no_more(app: App) -> None:
    (job,) = await claimed(app)
    await end_leases(app)
    await app.parts.reap(app)
    before = await row(app, job.task_id)
    for outcome in (DONE, Outcome(Status.RETRY, "lease expired too"), Outcome(Status.FAILED, "no")):
        assert not await app.parts.finish(app, job, outcome)
    assert await row(app, job.task_id) == before
    assert len(await attempt_rows(app, job.task_id)) == 1


# Giving back


async def test_what_is_given_back_is_queued_with_its_attempts_and_one_more_allowed(app: App) -> None:
    jobs = await claimed(app, 3, max_attempts=2)
    returned = await app.parts.give_back(app, jobs)
    assert {job.task_id for job in returned} == {job.task_id for job in jobs}
    for job in returned:
        assert job == replace(await row(app, job.task_id), payload_json=None)
        assert (job.status, job.attempts, job.max_attempts, job.version) == (Status.QUEUED, 1, 3, 3)
        assert (job.worker, job.lease_expires_at, job.finished_at) == (None, None, None)
        assert job.queued_at == job.pushed_at == job.updated_at
        assert await attempt_rows(app, job.task_id) == []
    assert await queued_ids(app) == []  # pushing is the caller's


async def test_what_is_not_ours_is_not_given_back(app: App) -> None:
    ours, cancelled, finished, reaped = await claimed(app, 4)
    await app.parts.cancel_in_database(app, cancelled.task_id)
    await app.parts.finish(app, finished, DONE)
    await end_leases(app, reaped.task_id)
    await app.parts.reap(app)
    returned = await app.parts.give_back(app, [ours, cancelled, finished, reaped])
    assert [job.task_id for job in returned] == [ours.task_id]
    assert await app.parts.give_back(app, [ours]) == []  # a second time finds nothing
    (again,) = await app.parts.claim(app, returned)
    assert again.attempts == 2
    assert await app.parts.give_back(app, [ours]) == []  # and an earlier attempt neither
    assert (await row(app, ours.task_id)).status is Status.RUNNING
