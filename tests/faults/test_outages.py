"""The database was away for longer than a lease. When it is back, no healthy job has lost anything by it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from scheduler.app import App, open_app
from scheduler.database import Lost, Unavailable
from scheduler.entry import Entry
from scheduler.jobs import Job, Priority, Status
from scheduler.worker import batches
from scheduler.worker import worker as worker_module
from scheduler.worker.batches import fetch_waiting
from scheduler.worker.maintenance import PatientReaper
from scheduler.worker.one_job import CLAIM
from scheduler.worker.service import running_worker

from tests import under_test
from tests.faults.proxy import Proxy, proxy
from tests.faults.tools import (
    Gate,
    at_port,
    attempt_rows,
    counted,
    database_port,
    handling,
    insert,
    opened,
    short_pops,  # noqa: F401
    stoppable,
)
from tests.helpers import submit, until, until_status
from tests.patience import SECONDS, within
from tests.proxies import proxied_database
from workbook.sandbox import Servers

pytestmark = [pytest.mark.timeout(180), pytest.mark.of_reference]

SHORT = {"lease_seconds": 1.2, "heartbeat_seconds": 0.4, "database_wait_seconds": 0.3}


async def until_leases_are_over(app: App) -> None:
    """By the database's clock; by the worker's own they were over before that."""

    async def over() -> bool:
        found = await app.db.fetch_one("SELECT max(lease_expires_at) < now() AS over FROM tasks")
        return bool(found and found["over"])

    await until(over, "the leases are over")


async def nobody_answers(app: App) -> bool:
    return not await app.db.is_up()


@pytest.mark.parametrize("how", ["refused", "swallowed"])
async def test_a_job_that_was_done_while_the_database_was_away_is_done_once(
    backends: Servers, how: str
) -> None:
    gate = Gate()
    with handling(hold=gate.handle):
        async with (
            opened(backends, **SHORT) as app,
            proxy(database_port(app.settings)) as way,
            running_worker(at_port(app.settings, database=way.port), under_test.parts()) as worker,
        ):
            ids = [await submit(app, "hold", max_attempts=1) for _ in range(5)]
            await until(lambda: len(gate.started) == 5, "they run")
            await way.away() if how == "refused" else way.stall()
            gate.opened.set()
            await until_leases_are_over(app)
            await until(lambda: nobody_answers(worker.app), "the worker misses the database")
            assert {(await until_status(app, one, Status.RUNNING)).attempts for one in ids} == {1}
            await way.back() if how == "refused" else way.resume()
            for task_id in ids:
                await until_status(app, task_id, Status.SUCCEEDED, Status.DEADLETTER)
                assert await attempt_rows(app, task_id) == [(1, True, None)]
            assert counted(worker.app.metrics.leases_expired_total) == 0


async def overdue(app: App, number: int) -> list[UUID]:
    """Jobs whose leases have run out."""
    ids = await insert(app, number)
    await app.parts.claim(app, [Entry(one, "noop", Priority.DEFAULT) for one in ids])
    await app.db.fetch_all(
        "UPDATE tasks SET lease_expires_at = now() - interval '1 second' WHERE status = 'running'"
    )
    return ids


async def is_away(seconds: float | None = None) -> bool:
    return False


async def takes_nothing(sql: str, params: object = None) -> None:
    """It answers whoever asks whether it does, and no heartbeat gets through."""
    if sql == "SELECT 1":
        raise Unavailable("not now")


@pytest.mark.parametrize("away", [("is_up", is_away), ("fetch_all", takes_nothing)], ids=lambda one: one[0])
async def test_a_reaper_lets_a_heartbeat_pass_when_the_database_was_away(
    backends: Servers, away: tuple[str, Any]
) -> None:
    async with opened(backends, lease_seconds=90, heartbeat_seconds=30) as app:
        await overdue(app, 2)
        reaper = PatientReaper()
        assert await reaper.reap(app) == 2
        await overdue(app, 2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app.db, *away)
            with pytest.raises(Unavailable):
                await reaper.reap(app)
        for _ in range(3):
            assert await reaper.reap(app) == 0
        assert await app.parts.reap(app) == 2  # a reaper that reached it all the while


async def test_a_reaper_whose_database_was_silent_lets_a_heartbeat_pass_and_reaps_then(
    backends: Servers,
) -> None:
    """It hung in mid-question: that was answered well, only late."""
    async with (
        opened(backends, lease_seconds=0.9, heartbeat_seconds=0.3, poll_seconds=0.01) as app,
        proxy(database_port(app.settings)) as way,
        open_app(at_port(app.settings, database=way.port), under_test.parts()) as other,
    ):
        await overdue(app, 2)
        reaper = PatientReaper()
        way.stall()
        reaping = asyncio.create_task(reaper.reap(other))
        await until(silence_of(other, 0.5), "it has been silent for longer than a heartbeat")
        way.resume()
        assert await within(reaping, "the question was answered") == 0
        assert await until(lambda: reaper.reap(other), "it reaps") == 2


def silence_of(app: App, seconds: float) -> Callable[[], bool]:
    now = asyncio.get_running_loop().time
    until_then = now() + seconds
    return lambda: now() > until_then


async def test_a_look_that_hung_is_not_acted_on(backends: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(backends, lease_seconds=0.3, heartbeat_seconds=0.1) as app:
        await overdue(app, 2)
        fetch_all = app.db.fetch_all

        async def hangs(*arguments: Any) -> Any:
            found = await fetch_all(*arguments)
            await until(silence_of(app, 0.2), "longer than a heartbeat has passed")
            return found

        with monkeypatch.context() as patch:
            patch.setattr(app.db, "fetch_all", hangs)
            assert await app.parts.reap(app) == 0
        assert await app.parts.reap(app) == 2


async def lose_a_claim(way: Proxy) -> None:
    """The next claim does not reach the database, which is away from then on."""
    way.cut_before(CLAIM.strip().encode()[:60])
    await within(way.fired.wait(), "the claim was cut")
    await way.away()


async def asked(app: App, times: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Says when somebody has asked so often whether the database is up."""
    asks = 0
    is_up = app.db.is_up

    async def counting(seconds: float | None = None) -> bool:
        nonlocal asks
        asks += 1
        return await is_up(seconds)

    monkeypatch.setattr(app.db, "is_up", counting)
    return lambda: asks >= times


async def test_a_claim_waits_for_the_database_however_long_it_is_away(
    backends: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its statement may still be on the way: whoever gave it up would leave what it takes to nobody."""
    async with (
        opened(backends, lease_seconds=0.3, heartbeat_seconds=0.1, database_wait_seconds=0.1) as app,
        proxy(database_port(app.settings)) as way,
        open_app(at_port(app.settings, database=way.port), under_test.parts()) as other,
    ):
        ids = await insert(app, 3)
        losing = asyncio.create_task(lose_a_claim(way))
        await asyncio.sleep(0)
        is_over = await asked(other, 6, monkeypatch)  # at 0.1 s each: two leases
        claiming = asyncio.create_task(
            other.parts.claim(other, [Entry(one, "noop", Priority.DEFAULT) for one in ids])
        )
        await losing
        await until(is_over, "it has asked for longer than a lease")
        await way.back()
        assert {job.task_id for job in await within(claiming, "it has claimed")} == set(ids)


async def test_a_statement_that_waits_for_rows_is_given_up_when_the_database_is_silent(
    backends: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own limit is the database's to keep, and nobody there says that it has passed."""
    monkeypatch.setattr(batches, "SILENCE_SECONDS", 0.1)
    async with (
        opened(backends) as app,
        proxied_database(app.settings) as (through, way),
        open_app(through, under_test.parts()) as other,
    ):
        way.stall()
        with pytest.raises(Lost):
            await within(fetch_waiting(other, 0.1, "SELECT 1 AS one", []), "it has given up")
        await way.restore()
        rows = await within(fetch_waiting(other, SECONDS, "SELECT 1 AS one", []), "the next one is answered")
        assert rows == [{"one": 1}]


async def test_a_worker_whose_claim_hangs_runs_its_jobs_once_when_the_database_is_back(
    backends: Servers,
) -> None:
    counter: Counter[UUID] = Counter()

    async def count(app: App, job: Job) -> None:
        counter[job.task_id] += 1

    with handling(counts=count):
        async with (
            opened(backends, reconcile_seconds=3600, **SHORT) as app,
            proxy(database_port(app.settings)) as way,
            running_worker(at_port(app.settings, database=way.port), under_test.parts()) as worker,
        ):
            losing = asyncio.create_task(lose_a_claim(way))
            await asyncio.sleep(0)
            ids = [await submit(app, "counts") for _ in range(3)]
            await losing
            await until(lambda: nobody_answers(worker.app), "the worker misses the database")
            await until(silence_of(app, 2 * app.settings.lease_seconds), "two leases have passed")
            await way.back()
            for task_id in ids:
                job = await until_status(app, task_id, Status.SUCCEEDED)
                assert job.attempts == 1
    assert counter == dict.fromkeys(ids, 1)


async def test_a_worker_whose_claim_hangs_stops(backends: Servers) -> None:
    async with (
        opened(backends, shutdown_grace_seconds=0.3, **SHORT) as app,
        proxy(database_port(app.settings)) as way,
        stoppable(at_port(app.settings, database=way.port)) as worker,
    ):
        losing = asyncio.create_task(lose_a_claim(way))
        await asyncio.sleep(0)
        await submit(app)
        await losing
        await worker.stop()  # the database stays away


async def test_a_worker_whose_finish_waits_for_the_database_stops(backends: Servers) -> None:
    gate = Gate()
    with handling(hold=gate.handle):
        async with (
            opened(backends, shutdown_grace_seconds=0.3, **SHORT) as app,
            proxy(database_port(app.settings)) as way,
            stoppable(at_port(app.settings, database=way.port)) as worker,
        ):
            await submit(app, "hold")
            await until(lambda: len(gate.started) == 1, "it runs")
            await way.away()
            gate.opened.set()
            await until_leases_are_over(app)
            await worker.stop()  # the database stays away

            def at_work() -> bool:
                return any("Worker._work" in repr(task.get_coro()) for task in asyncio.all_tasks())

            await until(lambda: not at_work(), "nobody tries to finish any more")


async def test_a_heartbeat_that_was_not_taken_is_sent_again_soon(
    backends: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "BEAT_AGAIN_SECONDS", 0.01)
    gate = Gate()
    beats: list[float] = []

    async def not_taken(app: App, jobs: Any) -> set[UUID]:
        beats.append(asyncio.get_running_loop().time())
        raise Unavailable("the database is out of reach")

    parts = replace(under_test.parts(), heartbeat=not_taken)
    with handling(hold=gate.handle):
        async with (
            opened(backends, lease_seconds=9, heartbeat_seconds=3) as app,
            running_worker(app.settings, parts),
        ):
            await submit(app, "hold")
            await until(lambda: len(beats) >= 3, "it beats again and again")
            gate.opened.set()
    assert beats[2] - beats[1] < 3  # the regular pause
