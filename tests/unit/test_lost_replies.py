"""A reply of the database gets lost on its way: the statement was done, or was not, and runs again in either case."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from scheduler.api.cancel_job import CANCEL
from scheduler.api.requeue_job import REQUEUE
from scheduler.app import App, open_app
from scheduler.database import Lost
from scheduler.entry import Entry
from scheduler.jobs import INSERT, NewJob, Priority, Status
from scheduler.parts import reference
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker.batches import Due
from scheduler.worker.leases import GIVE_BACK, REAP
from scheduler.worker.reconciler import PUSH_AGAIN
from scheduler.worker.retries import PROMOTE

from tests.faults.proxy import Proxy, postgres_reply, proxy
from tests.faults.tools import at_port, by_label, counted, database_port, insert, queued_ids, row, rows

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


def set_of(duty: Due) -> str:
    """The part of a duty's statement by which the others know it."""
    return duty.statement.partition("SET ")[2].partition("%")[0]
