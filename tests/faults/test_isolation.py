"""One row, one type or one worker that is in trouble hurts no other."""

import asyncio

from scheduler.jobs import Status
from scheduler.worker.service import running_worker

from tests import under_test
from tests.faults.tools import (
    Gate,
    attempt_rows,
    counted,
    handling,
    opened,
    row,
    short_pops,  # noqa: F401
    until_true,
)
from tests.helpers import submit, until, until_status
from workbook.sandbox import Servers

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
            await until_true(lambda: len(gate.started) == 10, "all run")
            locked, *others = ids
            async with app.db._pool.connection() as somebody, somebody.transaction(force_rollback=True):
                await somebody.execute("SELECT 1 FROM tasks WHERE task_id = %s FOR UPDATE", [locked])

                async def over() -> bool:
                    found = await app.db.fetch_one(
                        "SELECT 1 FROM tasks WHERE task_id = %s AND lease_expires_at < now()", [locked]
                    )
                    return found is not None

                await until(over, "the lease of the locked job is over")
                await until_true(lambda: bool(gate.cancelled), "its handler is told")
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
