"""A reply of the database gets lost on its way: the statement was done, or was not, and runs again in either case."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from scheduler.api.cancel_job import CANCEL
from scheduler.api.requeue_job import REQUEUE
from scheduler.app import App, open_app
from scheduler.database import Lost, TooSlow
from scheduler.entry import Entry
from scheduler.jobs import INSERT, NewJob, Priority, Status
from scheduler.parts import reference
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker import batches
from scheduler.worker.batches import Due
from scheduler.worker.leases import GIVE_BACK, REAP
from scheduler.worker.one_job import CLAIM, Outcome
from scheduler.worker.reconciler import PUSH_AGAIN
from scheduler.worker.retries import PROMOTE

from tests.faults.proxy import Proxy, postgres_reply, proxy
from tests.faults.tools import at_port, by_label, counted, database_port, insert, queued_ids, row, rows
from tests.unit.test_one_job import held

pytestmark = pytest.mark.timeout(60)

CONTEXT = SimpleNamespace()
"""These pieces raise what they have to say."""


@asynccontextmanager
async def through_proxy(app: App) -> AsyncIterator[tuple[App, Proxy]]:
    """A second app, whose database is behind a proxy."""
    async with (
        proxy(database_port(app.settings)) as way,
        open_app(at_port(app.settings, database=way.port), reference()) as other,
    ):
        yield other, way


def lose(way: Proxy, statement: str, after: bool) -> None:
    marker = statement.strip().encode()[:60]
    if after:
        way.cut_after(marker, postgres_reply)
    else:
        way.cut_before(marker)


when = pytest.mark.parametrize("after", [False, True], ids=["before the commit", "after the commit"])


@when
async def test_a_submit_without_an_id_makes_one_job(app: App, after: bool) -> None:
    async with through_proxy(app) as (other, way):
        lose(way, INSERT, after)
        task_id = await other.parts.submit_job(other, NewJob("noop"))
        assert way.fired.is_set()
        assert counted(other.metrics.jobs_submitted) == 1
    assert set(await rows(app)) == {task_id}
    assert await queued_ids(app) == [task_id]


@when
async def test_a_submit_with_a_key_makes_one_job_however_often_it_is_called(app: App, after: bool) -> None:
    async with through_proxy(app) as (other, way):
        lose(way, INSERT, after)
        first = await other.parts.submit_job(other, NewJob("noop", idempotency_key="k"))
        again = await other.parts.submit_job(other, NewJob("noop", idempotency_key="k"))
        assert counted(other.metrics.jobs_submitted) == 1
    assert first == again
    assert len(await rows(app)) == 1


@when
async def test_many_submits_make_each_job_once(app: App, after: bool) -> None:
    async with through_proxy(app) as (other, way):
        lose(way, INSERT, after)
        ids = await other.parts.submit_jobs(other, [NewJob("noop") for _ in range(5)])
        assert counted(other.metrics.jobs_submitted) == 5
    assert set(await rows(app)) == set(ids)


@when
async def test_a_cancel_is_answered_with_true_and_counted_once(app: App, after: bool) -> None:
    (task_id,) = await insert(app, 1)
    async with through_proxy(app) as (other, way):
        lose(way, CANCEL, after)
        answer = await other.parts.cancel_job(other, pb.CancelJobRequest(job_id=str(task_id)), CONTEXT)
        assert way.fired.is_set()
        assert answer.cancelled
        assert counted(other.metrics.jobs_completed) == 1
    assert (await row(app, task_id)).version == 2


@when
async def test_a_cancel_of_a_job_that_has_ended_is_answered_with_false(app: App, after: bool) -> None:
    (task_id,) = await insert(app, 1)
    assert await app.parts.cancel_in_database(app, task_id)
    async with through_proxy(app) as (other, way):
        lose(way, CANCEL, after)
        answer = await other.parts.cancel_job(other, pb.CancelJobRequest(job_id=str(task_id)), CONTEXT)
        assert not answer.cancelled
        assert counted(other.metrics.jobs_completed) == 0


@pytest.mark.parametrize("how", ["finished", "claimed and cancelled"])
async def test_what_another_has_ended_was_not_cancelled_by_who_lost_a_reply(
    app: App, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The request is lost. One more version, or the status alone, does not make it this cancel's."""
    (task_id,) = await insert(app, 1)
    entries = [Entry(task_id, "noop", Priority.DEFAULT)]
    jobs = await app.parts.claim(app, entries) if how == "finished" else []
    fetch_one = app.db.fetch_one
    first = [CANCEL]

    async def loses(sql: str, *arguments: Any) -> Any:
        if sql not in first:
            return await fetch_one(sql, *arguments)
        first.clear()
        if jobs:
            assert await app.parts.finish(app, jobs[0], Outcome(Status.SUCCEEDED))
        else:
            assert await app.parts.claim(app, entries)
            assert await app.parts.cancel_in_database(app, task_id)
        raise Lost("no reply")

    monkeypatch.setattr(app.db, "fetch_one", loses)
    assert await app.parts.cancel_in_database(app, task_id) is None
    assert not first


@when
async def test_a_requeue_is_answered_with_true_and_pushed(app: App, after: bool) -> None:
    (task_id,) = await insert(app, 1)
    await app.db.fetch_all(
        "UPDATE tasks SET status = 'failed', finished_at = now(), pushed_at = NULL, version = 5"
    )
    async with through_proxy(app) as (other, way):
        lose(way, REQUEUE, after)
        answer = await other.parts.requeue_job(other, pb.RequeueJobRequest(job_id=str(task_id)), CONTEXT)
        assert way.fired.is_set()
        assert answer.requeued
    job = await row(app, task_id)
    assert (job.status, job.version) == (Status.QUEUED, 6)
    assert await queued_ids(app) == [task_id]


@when
async def test_jobs_that_are_given_back_are_known_and_given_back_once(app: App, after: bool) -> None:
    ids = await insert(app, 3)
    jobs = await app.parts.claim(app, [Entry(one, "noop", Priority.DEFAULT) for one in ids])
    async with through_proxy(app) as (other, way):
        lose(way, GIVE_BACK.partition("%s")[0], after)
        returned = await other.parts.give_back(other, jobs)
        assert way.fired.is_set()
    assert {job.task_id for job in returned} == set(ids)
    for job in (await rows(app)).values():
        assert (job.status, job.attempts, job.max_attempts, job.version) == (Status.QUEUED, 1, 4, 3)


@pytest.mark.parametrize("how", ["cancelled", "reaped and queued again"])
async def test_what_another_has_changed_is_not_given_back_by_who_lost_a_reply(app: App, how: str) -> None:
    """The request is lost, and another comes first."""
    (task_id,) = await insert(app, 1)
    jobs = await app.parts.claim(app, [Entry(task_id, "noop", Priority.DEFAULT)])
    fetch_all = app.db.fetch_all
    first = [GIVE_BACK]

    async def loses(sql: str, *arguments: Any) -> Any:
        if sql not in first:
            return await fetch_all(sql, *arguments)
        first.clear()
        if how == "cancelled":
            assert await app.parts.cancel_in_database(app, task_id)
        else:
            await fetch_all("UPDATE tasks SET lease_expires_at = now() - interval '1 second'")
            assert await app.parts.reap(app) == await app.parts.pump_retries(app) == 1
        raise Lost("no reply")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.db, "fetch_all", loses)
        assert await app.parts.give_back(app, jobs) == []
    assert not first


async def test_what_another_has_claimed_is_not_claimed_by_who_lost_a_reply(app: App) -> None:
    """The request is lost, and another worker comes first."""
    entries = [Entry(one, "noop", Priority.DEFAULT) for one in await insert(app, 2)]
    fetch_all = app.db.fetch_all
    first = [CLAIM]

    async def loses(sql: str, *arguments: Any) -> Any:
        if sql not in first:
            return await fetch_all(sql, *arguments)
        first.clear()
        assert len(await app.parts.claim(app, entries[:1])) == 1
        raise Lost("no reply")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.db, "fetch_all", loses)
        mine = await app.parts.claim(app, entries)
    assert [job.task_id for job in mine] == [entries[1].task_id]


async def due_for(app: App, duty: Due) -> set[UUID]:
    """Three jobs for which a duty is due; of those that are reaped, one ends as a dead letter."""
    ids = await insert(app, 2) + await insert(app, 1, max_attempts=1)
    if duty is PUSH_AGAIN:
        await app.db.fetch_all("UPDATE tasks SET pushed_at = now() - interval '1 day'")
        return set(ids)
    await app.parts.claim(app, [Entry(one, "noop", Priority.DEFAULT) for one in ids])
    await app.db.fetch_all("UPDATE tasks SET lease_expires_at = now() - interval '1 second'")
    if duty is PROMOTE:
        await app.parts.reap(app)
    return set(ids[:2]) if duty is PROMOTE else set(ids)


@when
@pytest.mark.parametrize("duty", [PROMOTE, PUSH_AGAIN], ids=["the pump", "the reconciler"])
async def test_what_a_duty_has_queued_is_pushed(app: App, duty: Due, after: bool) -> None:
    ids = await due_for(app, duty)
    async with through_proxy(app) as (other, way):
        lose(way, set_of(duty), after)
        do = other.parts.pump_retries if duty is PROMOTE else other.parts.reconcile
        assert await do(other) == len(ids)
        assert way.fired.is_set()
    assert set(await queued_ids(app)) == ids
    assert len(await queued_ids(app)) == len(ids)


async def changed_by_others(app: App, task_ids: set[UUID]) -> None:
    """One of these two jobs is cancelled, the other goes on until it is queued again."""
    one, other = task_ids
    assert await app.parts.cancel_in_database(app, one)
    await app.parts.pump_retries(app)
    jobs = await app.parts.claim(app, [Entry(other, "noop", Priority.DEFAULT)])
    assert len(await app.parts.give_back(app, jobs)) == 1
    await app.queue.redis.flushdb()


@pytest.mark.parametrize("how", ["others changed them", "they stay locked"])
@pytest.mark.parametrize("duty", [PROMOTE, PUSH_AGAIN], ids=["the pump", "the reconciler"])
async def test_what_a_duty_has_not_queued_is_not_pushed(
    app: App, monkeypatch: pytest.MonkeyPatch, duty: Due, how: str
) -> None:
    """The request is lost."""
    ids = set(list(await due_for(app, duty))[:2])
    await app.db.fetch_all("DELETE FROM tasks WHERE NOT task_id = ANY(%s)", [list(ids)])
    fetch_all = app.db.fetch_all
    first = [duty.statement]

    async def loses(sql: str, *arguments: Any) -> Any:
        if sql not in first:
            return await fetch_all(sql, *arguments)
        first.clear()
        if how == "others changed them":
            await changed_by_others(app, ids)
        raise Lost("no reply")

    async def is_too_slow(*_: Any) -> Any:
        raise TooSlow("somebody has locked them")

    monkeypatch.setattr(app.db, "fetch_all", loses)
    if how == "they stay locked":
        monkeypatch.setattr(batches, "fetch_waiting", is_too_slow)
    assert await (app.parts.pump_retries if duty is PROMOTE else app.parts.reconcile)(app) == 0
    assert not first
    assert await queued_ids(app) == []


@when
async def test_what_was_reaped_is_counted_once(app: App, after: bool) -> None:
    ids = await due_for(app, REAP)
    async with through_proxy(app) as (other, way):
        lose(way, set_of(REAP), after)
        assert await other.parts.reap(other) == len(ids)
        assert way.fired.is_set()
        assert counted(other.metrics.leases_expired_total) == 3
        assert by_label(other.metrics.jobs_completed, "status") == {("deadletter",): 1}
    found = Counter((job.status, job.version) for job in (await rows(app)).values())
    assert found == {(Status.RETRY, 3): 2, (Status.DEADLETTER, 3): 1}


async def test_what_another_has_reaped_is_not_counted_by_who_lost_a_reply(app: App) -> None:
    """The request is lost, and another reaper comes first."""
    ids = await due_for(app, REAP)
    async with through_proxy(app) as (other, way):
        lose(way, set_of(REAP), False)
        others = set(ids)
        is_up = other.db.is_up

        async def first_another(seconds: float | None = None) -> bool:
            if way.fired.is_set() and others:
                others.clear()
                assert await app.parts.reap(app) == len(ids)
            return await is_up(seconds)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(other.db, "is_up", first_another)
            assert await other.parts.reap(other) == 0
        assert counted(other.metrics.leases_expired_total) == 0
        assert counted(app.metrics.leases_expired_total) == len(ids)


async def test_a_duty_whose_statement_comes_late_takes_what_was_due_when_it_looked(app: App) -> None:
    """The database hung between the look and the statement, and leases have run out meanwhile."""
    ids = await due_for(app, REAP)
    late = await insert(app, 1)
    await app.parts.claim(app, [Entry(late[0], "noop", Priority.DEFAULT)])
    fetch_all = app.db.fetch_all

    async def hangs(sql: str, *arguments: Any) -> Any:
        if sql == REAP.statement:
            await fetch_all("UPDATE tasks SET lease_expires_at = now() WHERE status = 'running'")
        return await fetch_all(sql, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.db, "fetch_all", hangs)
        assert await app.parts.reap(app) == len(ids)
    assert (await row(app, late[0])).status is Status.RUNNING


async def between_look_and_statement(app: App, patch: pytest.MonkeyPatch, duty: Due, change: Any) -> None:
    """Let `change` happen once a duty has found its rows, and before it does anything to them."""
    fetch_all = app.db.fetch_all
    first = [duty.statement]

    async def comes_late(sql: str, *arguments: Any) -> Any:
        if sql in first:
            first.clear()
            await change()
        return await fetch_all(sql, *arguments)

    patch.setattr(app.db, "fetch_all", comes_late)


async def test_a_heartbeat_that_comes_before_the_reaper_s_statement_saves_its_job(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task_id,) = await insert(app, 1)
    jobs = await app.parts.claim(app, [Entry(task_id, "noop", Priority.DEFAULT)])
    await app.db.fetch_all("UPDATE tasks SET lease_expires_at = now() - interval '1 second'")

    async def beat() -> None:
        assert await app.parts.heartbeat(app, jobs) == {task_id}

    await between_look_and_statement(app, monkeypatch, REAP, beat)
    assert await app.parts.reap(app) == 0
    assert (await row(app, task_id)).status is Status.RUNNING


async def test_what_another_reconciler_pushed_in_between_is_not_pushed_again(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await due_for(app, PUSH_AGAIN)

    async def another() -> None:
        assert await app.parts.reconcile(app) == len(ids)

    await between_look_and_statement(app, monkeypatch, PUSH_AGAIN, another)
    assert await app.parts.reconcile(app) == 0
    assert sorted(await queued_ids(app)) == sorted(ids)


@pytest.mark.parametrize(
    "duty", [REAP, PROMOTE, PUSH_AGAIN], ids=["the reaper", "the pump", "the reconciler"]
)
async def test_a_row_that_is_locked_once_a_duty_has_found_it_holds_up_no_other(
    app: App, monkeypatch: pytest.MonkeyPatch, duty: Due
) -> None:
    ids = await due_for(app, duty)
    async with AsyncExitStack() as until_the_end:

        async def lock() -> None:
            await until_the_end.enter_async_context(held(app, min(ids)))

        await between_look_and_statement(app, monkeypatch, duty, lock)
        duties = {REAP: app.parts.reap, PROMOTE: app.parts.pump_retries, PUSH_AGAIN: app.parts.reconcile}
        assert await duties[duty](app) == len(ids) - 1


async def test_what_is_found_by_a_look_that_hung_is_left_to_the_next(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have become due while nobody could do anything about it."""
    ids = await due_for(app, REAP)
    times = iter([0.0, app.settings.heartbeat_seconds + 0.1])
    with monkeypatch.context() as patch:
        patch.setattr(batches, "monotonic", lambda: next(times))
        assert await app.parts.reap(app) == 0
    assert await app.parts.reap(app) == len(ids)


async def test_the_reaper_leaves_the_attempt_that_follows_the_one_it_saw(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database hung, and nobody could extend the lease of the next attempt either."""
    (task_id,) = await insert(app, 1)
    entries = [Entry(task_id, "noop", Priority.DEFAULT)]
    over = "UPDATE tasks SET lease_expires_at = now() - interval '1 second' WHERE status = 'running'"
    await app.parts.claim(app, entries)
    await app.db.fetch_all(over)

    async def go_on() -> None:
        assert await app.parts.reap(app) == await app.parts.pump_retries(app) == 1
        await app.parts.claim(app, entries)
        await app.db.fetch_all(over)

    # Its second look would find the next attempt, too: that is another reaping.
    monkeypatch.setattr(batches, "MOST_AT_ONCE", 1)
    await between_look_and_statement(app, monkeypatch, REAP, go_on)
    assert await app.parts.reap(app) == 0
    job = await row(app, task_id)
    assert (job.status, job.attempts) == (Status.RUNNING, 2)


def set_of(duty: Due) -> str:
    """The part of a duty's statement by which the others know it."""
    return duty.statement.partition("SET ")[2].partition("%")[0]
