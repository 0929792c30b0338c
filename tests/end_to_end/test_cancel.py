"""CancelJob over a real connection, in every state, and against a claim or a finish at the same moment."""

import asyncio
from uuid import uuid4

import grpc
import pytest
from scheduler.api.cancel_job import SHORT
from scheduler.entry import Entry
from scheduler.jobs import Priority, Status
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker.one_job import Outcome
from scheduler.worker.service import running_worker

from tests import under_test
from tests.end_to_end.client import (
    claim,
    finish,
    invalid,
    metric,
    on_shared,
    refused,
    row,
    serving,
)
from tests.faults.tools import handling
from tests.helpers import SOME_ID, submit, until, until_status
from tests.patience import SECONDS, within
from tests.proxies import proxied_redis


async def cancel(stub, task_id):
    answer = await stub.CancelJob(pb.CancelJobRequest(job_id=str(task_id)), timeout=SECONDS)
    return answer.cancelled


async def put_into(app, status):
    """A job that stands in a status."""
    task_id = await submit(app)
    if status is Status.CANCELLED:
        await app.parts.cancel_in_database(app, task_id)
    elif status is not Status.QUEUED:
        [job] = await claim(app, task_id)
        if status is not Status.RUNNING:
            await finish(app, job, Outcome(status, None if status is Status.SUCCEEDED else "why", delay=60))
    return task_id


@pytest.mark.of_reference
@on_shared
@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.RETRY])
async def test_a_job_that_has_not_ended_is_cancelled_once(shared, status):
    api, stub = shared
    task_id = await put_into(api.app, status)
    before = await row(api.app, task_id)

    assert await cancel(stub, str(task_id).upper()) is True

    job = await row(api.app, task_id)
    assert job.status is Status.CANCELLED
    assert job.version == before.version + 1
    assert job.finished_at == job.updated_at > before.updated_at
    assert (job.pushed_at, job.next_run_at, job.lease_expires_at, job.worker) == (None, None, None, None)
    assert job.attempts == before.attempts
    assert await cancel(stub, task_id) is False
    assert await row(api.app, task_id) == job


@on_shared
@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.DEADLETTER, Status.CANCELLED])
async def test_a_job_that_has_ended_is_left_as_it_is(shared, status):
    api, stub = shared
    task_id = await put_into(api.app, status)
    before = await row(api.app, task_id)
    assert await cancel(stub, task_id) is False
    assert await row(api.app, task_id) == before


@on_shared
async def test_an_unknown_job_is_not_found(shared):
    _, stub = shared
    assert (await refused(cancel(stub, uuid4()))).code is grpc.StatusCode.NOT_FOUND


@on_shared
@pytest.mark.parametrize("job_id", ["", "42", SOME_ID.replace("-", "")])
async def test_a_malformed_id_is_refused_by_its_field(shared, job_id):
    _, stub = shared
    assert await invalid(cancel(stub, job_id)) == ["job_id"]


async def test_every_entry_of_a_cancelled_job_leaves_its_queue_and_no_other(api, stub):
    keep = [await submit(api.app, priority=Priority.HIGH) for _ in range(2)]
    gone = await submit(api.app, "a b", priority=Priority.HIGH)
    for _ in range(2):
        await api.app.queue.push(await row(api.app, gone))
    assert await api.app.queue.redis.llen("q:high") == 5
    await cancel(stub, gone)
    left = await api.app.queue.redis.lrange("q:high", 0, -1)
    expected = [api.app.parts.encode_entry(await row(api.app, task_id)) for task_id in reversed(keep)]
    assert left == expected


@pytest.mark.of_reference
async def test_what_a_cancel_costs_does_not_grow_with_the_queue(settings, api, stub):
    gone, waits = await submit(api.app), await submit(api.app)
    entry = api.app.parts.encode_entry(await row(api.app, gone))
    redis = api.app.queue.redis
    await redis.lpush("q:default", *[api.app.parts.encode_entry(await row(api.app, waits))] * SHORT)
    assert await cancel(stub, gone)
    assert await redis.lindex("q:default", -1) == entry, "a long queue is not searched"
    async with running_worker(settings, under_test.parts()):
        await until_status(api.app, waits, Status.SUCCEEDED)
    job = await row(api.app, gone)
    assert (job.status, job.attempts) == (Status.CANCELLED, 0), "an entry that stays is harmless"


@pytest.mark.needs_task("04_cancel", 5)
async def test_the_lease_of_a_cancelled_job_is_no_longer_shown(api, stub):
    [job] = await claim(api.app, await submit(api.app))
    api.app.hints.leased([job])
    redis = api.app.queue.redis
    await until(lambda: redis.zscore("leases", str(job.task_id)), "the lease is shown")
    await cancel(stub, job.task_id)
    assert await redis.zscore("leases", str(job.task_id)) is None


async def test_a_cancelled_job_is_not_run(settings, api, stub):
    gone, kept = await submit(api.app), await submit(api.app)
    entry = api.app.parts.encode_entry(await row(api.app, gone))
    await cancel(stub, gone)
    await api.app.queue.redis.rpush("q:default", entry)  # as if its removal had come too late
    async with running_worker(settings, under_test.parts()):
        await until_status(api.app, kept, Status.SUCCEEDED)
    job = await row(api.app, gone)
    assert (job.status, job.attempts) == (Status.CANCELLED, 0)


@pytest.mark.needs_task("06_worker", 14)
async def test_a_running_handler_is_told(settings, api, stub):
    told = asyncio.Event()

    async def endless(app, job):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.set()
            raise

    beating = settings.model_copy(update={"heartbeat_seconds": 0.05})
    with handling(endless=endless):
        async with running_worker(beating, under_test.parts()):
            task_id = await submit(api.app, "endless")
            await until_status(api.app, task_id, Status.RUNNING)
            assert await cancel(stub, task_id) is True
            await within(told.wait(), "the handler is told")
    job = await row(api.app, task_id)
    assert (job.status, job.attempts, job.last_error) == (Status.CANCELLED, 1, None)
    assert await api.app.db.fetch_all("SELECT * FROM task_attempts") == []


async def test_a_job_is_cancelled_while_redis_is_down(settings):
    async with proxied_redis(settings) as (through, redis), serving(through) as (api, stub):
        task_id = await submit(api.app)
        await redis.refuse()
        assert await cancel(stub, task_id) is True
        assert (await row(api.app, task_id)).status is Status.CANCELLED


@pytest.mark.needs_task("04_cancel", 4)
async def test_of_many_cancels_at_once_one_is_told_that_it_did_it(api, stub):
    task_id = await submit(api.app)
    answers = await asyncio.gather(*[cancel(stub, task_id) for _ in range(20)])
    assert sorted(answers) == [False] * 19 + [True]
    assert metric(api.app, "jobs_completed", type="noop", status="cancelled") == 1


async def test_a_cancel_and_a_claim_at_once_have_one_winner(api, stub):
    for _ in range(20):
        task_id = await submit(api.app)
        entry = Entry(task_id, "noop", Priority.DEFAULT)
        cancelled, claimed = await asyncio.gather(
            cancel(stub, task_id), api.app.parts.claim(api.app, [entry])
        )
        assert cancelled  # queued or running, it is cancelled; if it was claimed, then before
        job = await row(api.app, task_id)
        assert (job.status, job.version) == (Status.CANCELLED, 2 + len(claimed))


@pytest.mark.needs_task("04_cancel", 4)
async def test_a_cancel_and_a_finish_at_once_have_one_winner(api, stub):
    jobs = [(await claim(api.app, await submit(api.app)))[0] for _ in range(20)]
    for job in jobs:
        cancelled, finished = await asyncio.gather(
            cancel(stub, job.task_id), api.app.parts.finish(api.app, job, Outcome(Status.SUCCEEDED))
        )
        assert cancelled is not finished
        after = await row(api.app, job.task_id)
        assert after.status is (Status.CANCELLED if cancelled else Status.SUCCEEDED)
        assert after.version == 3


@pytest.mark.of_reference
async def test_cancelled_jobs_are_counted_by_their_type(api, stub):
    for type in ("noop", "nobody knows me"):
        await cancel(stub, await submit(api.app, type))
    await cancel(stub, await put_into(api.app, Status.SUCCEEDED))
    assert metric(api.app, "jobs_completed", type="noop", status="cancelled") == 1
    assert metric(api.app, "jobs_completed", type="unknown", status="cancelled") == 1
