"""One row, one type or one worker that is in trouble hurts no other."""

import asyncio
from dataclasses import replace

import pytest
from scheduler.app import App
from scheduler.database import Unavailable
from scheduler.jobs import Job, Status
from scheduler.worker import unhandled
from scheduler.worker.handlers import Handlers
from scheduler.worker.service import running_worker
from scheduler.worker.worker import Worker

from tests import under_test
from tests.faults.tools import (
    Gate,
    attempt_rows,
    counted,
    handling,
    opened,
    queued_ids,
    row,
    short_pops,  # noqa: F401
)
from tests.helpers import submit, until, until_status
from workbook.sandbox import Servers

pytestmark = pytest.mark.of_reference
TERMINAL = [status for status in Status if status.is_terminal]


async def test_a_row_that_is_locked_for_longer_than_a_lease_costs_no_other_job_anything(
    backends: Servers,
) -> None:
    gate = Gate()
    with handling(hold=gate):
        async with (
            opened(backends, lease_seconds=3, heartbeat_seconds=0.5) as app,
            running_worker(app.settings, under_test.parts()) as worker,
        ):
            ids = [await submit(app, "hold", max_attempts=1) for _ in range(10)]
            await until(lambda: len(gate.started) == 10, "all run")
            locked, *others = ids
            async with app.db._pool.connection() as somebody, somebody.transaction(force_rollback=True):
                await somebody.execute("SELECT 1 FROM tasks WHERE task_id = %s FOR UPDATE", [locked])

                async def over() -> bool:
                    found = await app.db.fetch_one(
                        "SELECT 1 FROM tasks WHERE task_id = %s AND lease_expires_at < now()", [locked]
                    )
                    return found is not None

                await until(over, "the lease of the locked job is over")
                await until(lambda: bool(gate.cancelled), "its handler is told")
                assert [job.task_id for job in gate.cancelled] == [locked]
                # New jobs are taken and finished meanwhile, and what is due is done.
                assert (await until_status(app, await submit(app), *TERMINAL)).status is Status.SUCCEEDED
                flaky = await submit(app, "flaky", payload_json='{"failures": 1}')
                assert (await until_status(app, flaky, *TERMINAL)).status is Status.SUCCEEDED
            gate.opened.set()
            for task_id in others:
                job = await until_status(app, task_id, *TERMINAL)
                assert (job.status, job.attempts) == (Status.SUCCEEDED, 1)
            assert (await until_status(app, locked, *TERMINAL)).status is Status.DEADLETTER
            assert await attempt_rows(app, locked) == [(1, False, "lease expired")]
            assert counted(worker.app.metrics.leases_expired_total) == 1


async def passes(app: App, job: Job) -> None:
    pass


async def test_a_worker_without_a_handler_leaves_its_jobs_to_one_that_has_it(
    backends: Servers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(unhandled, "PAUSE_SECONDS", 0.05)
    old = Handlers()
    parts = under_test.parts()

    class OldWorker(Worker):
        def __init__(self, app: App) -> None:
            super().__init__(replace(app, handlers=old))

    with handling(of_the_new_version=passes):
        async with (
            opened(backends, retry_base_seconds=0.01) as app,
            running_worker(app.settings, replace(parts, worker=OldWorker)) as older,
        ):
            ids = [await submit(app, "of_the_new_version") for _ in range(40)]
            unknown = older.app.metrics.unknown_types_total
            await until(lambda: counted(unknown) >= 40, "the old worker had them all in its hands")
            async with running_worker(app.settings, parts):
                for task_id in ids:
                    job = await until_status(app, task_id, *TERMINAL)
                    assert (job.status, job.attempts) == (Status.SUCCEEDED, 1)
    assert caplog.text.count("no handler here for a type") == 1


async def test_a_worker_that_stops_gives_back_what_it_has_no_handler_for(
    backends: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unhandled, "PAUSE_SECONDS", 600)
    async with opened(backends) as app:
        task_id = await submit(app, "of_the_new_version")
        async with running_worker(app.settings, under_test.parts()) as worker:
            await until(lambda: counted(worker.app.metrics.unknown_types_total) == 1, "it has the entry")
            assert await queued_ids(app) == []
        assert await queued_ids(app) == [task_id]


async def test_an_entry_that_came_in_the_last_turn_before_the_stop_is_given_back_too(
    backends: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unhandled, "PAUSE_SECONDS", 600)
    async with opened(backends) as app:
        task_id = await submit(app, "of_the_new_version")
        left = unhandled.Unhandled(app)
        assert await left.without(await app.parts.take(app, 1)) == []
        await left.close()
        assert await queued_ids(app) == [task_id]


@pytest.mark.parametrize("how", ["cancelled", "deleted"])
async def test_an_entry_of_no_handler_s_whose_job_is_over_does_not_go_round(
    backends: Servers, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(unhandled, "PAUSE_SECONDS", 600)
    async with opened(backends) as app:
        ids = [await submit(app, "of_the_new_version") for _ in range(2)]
        entries = await app.parts.take(app, 2)
        if how == "cancelled":
            assert await app.parts.cancel_in_database(app, ids[0])
        else:
            await app.db.fetch_all("DELETE FROM tasks WHERE task_id = %s", [ids[0]])
        left = unhandled.Unhandled(app)
        to_be_claimed = await left.without(entries)
        assert [entry.task_id for entry in to_be_claimed] == ids[:1]
        assert await app.parts.claim(app, to_be_claimed) == []
        await left.close()
        assert await queued_ids(app) == ids[1:]


async def test_a_worker_that_holds_much_that_it_has_no_handler_for_takes_its_time(
    backends: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unhandled, "PAUSE_SECONDS", 600)
    monkeypatch.setattr(unhandled, "MOST_HELD", 1)
    async with opened(backends) as app:
        for _ in range(2):
            await submit(app, "of_the_new_version")
        entries = await app.parts.take(app, 2)
        left = unhandled.Unhandled(app)
        assert await left.without(entries[:1]) == []
        taking = asyncio.create_task(left.without(entries[1:]))
        await until(lambda: len(left._held) == 2, "it holds them all")
        assert not taking.done()
        taking.cancel()
        await left.close()
        assert await left.without([]) == []
        assert not left._held


async def test_entries_are_given_back_when_the_database_cannot_be_asked_about_them(
    backends: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(backends) as app:
        task_id = await submit(app, "of_the_new_version")
        entries = await app.parts.take(app, 1)

        async def fails(sql: str, *arguments: object) -> None:
            raise Unavailable("not now")

        left = unhandled.Unhandled(app)
        with monkeypatch.context() as patch:
            patch.setattr(app.db, "fetch_all", fails)
            with pytest.raises(Unavailable):
                await left.without(entries)
        await left.close()
        assert await queued_ids(app) == [task_id]


async def test_a_job_that_was_deleted_by_hand_and_submitted_again_ends_and_stops_nobody(
    backends: Servers,
) -> None:
    async with (
        opened(backends) as app,
        running_worker(app.settings, under_test.parts()),
    ):
        task_id = await submit(app)
        await until_status(app, task_id, Status.SUCCEEDED)
        await app.db.fetch_all("DELETE FROM tasks WHERE task_id = %s", [task_id])
        await submit(app, task_id=task_id)
        others = [submit(app) for _ in range(5)]
        for one in [task_id, *await asyncio.gather(*others)]:
            await until_status(app, one, Status.SUCCEEDED)
        assert (await row(app, task_id)).attempts == 1
