"""Backoff, and the pump that makes due retries run."""

import asyncio
import json
from collections import Counter
from uuid import UUID

import pytest
from scheduler.app import App, open_app
from scheduler.config import Settings
from scheduler.jobs import Priority, Status
from scheduler.parts import reference
from scheduler.worker.one_job import Outcome
from scheduler.worker.retries import backoff_delay

from tests.faults.proxy import proxy
from tests.faults.tools import at_port, counted, insert, queued_ids, row, rows
from tests.helpers import submit


@pytest.mark.parametrize(
    ("attempt", "limit"), [(1, 1), (2, 2), (3, 4), (8, 128), (9, 256), (10, 300), (50, 300)]
)
def test_the_limit_doubles_with_each_attempt_up_to_the_cap(attempt: int, limit: float) -> None:
    delays = [backoff_delay(attempt, 1, 300) for _ in range(2_000)]
    assert all(0 <= delay <= limit for delay in delays)
    assert max(delays) > 0.9 * limit
    assert min(delays) < 0.1 * limit


def test_the_jitter_is_full_and_even() -> None:
    fifths = Counter(int(backoff_delay(4, 1, 300) / 8 * 5) for _ in range(10_000))
    assert set(fifths) == {0, 1, 2, 3, 4}
    assert all(1_700 < number < 2_300 for number in fifths.values())


@pytest.mark.parametrize("attempt", [64, 100, 1_025, 2**31 - 1])
def test_an_attempt_number_however_large_waits_at_most_the_cap(attempt: int) -> None:
    assert all(0 <= backoff_delay(attempt, 0.001, 300) <= 300 for _ in range(100))


def test_a_base_above_the_cap_is_capped() -> None:
    assert all(backoff_delay(1, 1_000, 5) <= 5 for _ in range(100))


async def in_retry(app: App, number: int, delay: float = 0.0) -> list[UUID]:
    """Jobs whose first attempt failed and whose second is due in so many seconds."""
    ids = await insert(app, number)
    entries = [await row(app, task_id) for task_id in ids]
    jobs = await app.parts.claim(app, entries)
    outcome = Outcome(Status.RETRY, "again", delay)
    assert all(await asyncio.gather(*(app.parts.finish(app, job, outcome) for job in jobs)))
    return ids


async def test_the_pump_queues_and_pushes_what_is_due_and_leaves_the_rest(app: App) -> None:
    due, later = await in_retry(app, 3), await in_retry(app, 2, delay=600)
    assert await app.parts.pump_retries(app) == 3
    assert sorted(await queued_ids(app)) == sorted(due)
    for task_id in due:
        job = await row(app, task_id)
        assert (job.status, job.attempts, job.version) == (Status.QUEUED, 1, 4)
        assert job.next_run_at is None
        assert job.queued_at == job.pushed_at == job.updated_at
        assert job.queued_at > job.created_at
    for task_id in later:
        job = await row(app, task_id)
        assert (job.status, job.version) == (Status.RETRY, 3)
    assert await app.parts.pump_retries(app) == 0


async def test_two_pumps_at_once_push_each_job_once(app: App, settings: Settings) -> None:
    ids = await in_retry(app, 400)
    async with open_app(settings, reference()) as other:
        pumped = 0
        while round := sum(
            await asyncio.gather(*(one.parts.pump_retries(one) for one in (app, other, app, other)))
        ):
            pumped += round
    assert pumped == 400
    assert sorted(await queued_ids(app)) == sorted(ids)
    assert {(job.status, job.version) for job in (await rows(app)).values()} == {(Status.QUEUED, 4)}


async def test_a_pump_takes_five_hundred_at_most(app: App) -> None:
    await in_retry(app, 501)
    assert [await app.parts.pump_retries(app) for _ in range(3)] == [500, 1, 0]


async def test_a_retry_that_was_cancelled_is_not_pumped(app: App) -> None:
    kept, cancelled = await in_retry(app, 2)
    assert await app.parts.cancel_in_database(app, cancelled) is not None
    assert await app.parts.pump_retries(app) == 1
    assert await queued_ids(app) == [kept]


async def test_each_priority_has_its_own_queue(app: App) -> None:
    ids = {priority: await submit(app, priority=priority) for priority in Priority}
    entries = [await row(app, task_id) for task_id in ids.values()]
    for priority in Priority:
        await app.queue.redis.delete(f"q:{priority}")
    for job in await app.parts.claim(app, entries):
        await app.parts.finish(app, job, Outcome(Status.RETRY, "again"))
    assert await app.parts.pump_retries(app) == 4
    for priority, task_id in ids.items():
        assert await queued_ids(app, priority) == [task_id]
        raw = await app.queue.redis.lindex(f"q:{priority}", 0)
        assert json.loads(raw) == {"task_id": str(task_id), "type": "noop", "priority": str(priority)}


async def test_what_redis_did_not_take_stays_queued_for_the_reconciler(app: App) -> None:
    await in_retry(app, 3)
    async with (
        proxy(app.settings.redis_port) as way,
        open_app(at_port(app.settings, redis=way.port), reference()) as cut_off,
    ):
        await way.away()
        assert await cut_off.parts.pump_retries(cut_off) == 3
        assert counted(cut_off.metrics.push_failures) == 3
    assert {job.status for job in (await rows(app)).values()} == {Status.QUEUED}
    assert await queued_ids(app) == []
