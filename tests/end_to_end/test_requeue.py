"""RequeueJob over a real connection: what failed for good runs again."""

import asyncio
from uuid import uuid4

import grpc
import pytest
from scheduler.entry import decode_entry
from scheduler.jobs import Status
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker.one_job import Outcome
from scheduler.worker.service import running_worker

from tests import under_test
from tests.end_to_end.client import claim, finish, invalid, metric, on_shared, refused, row, serving
from tests.end_to_end.test_cancel import put_into
from tests.helpers import SOME_ID, submit, until, until_status
from tests.patience import SECONDS
from tests.proxies import proxied_redis


async def requeue(stub, task_id):
    answer = await stub.RequeueJob(pb.RequeueJobRequest(job_id=str(task_id)), timeout=SECONDS)
    return answer.requeued


@pytest.mark.parametrize("status", [Status.FAILED, Status.DEADLETTER])
async def test_a_job_that_failed_for_good_is_queued_again_and_pushed(api, stub, status):
    task_id = await put_into(api.app, status)
    await api.app.queue.redis.delete("q:default")
    before = await row(api.app, task_id)

    assert await requeue(stub, str(task_id).upper()) is True

    job = await row(api.app, task_id)
    assert (job.status, job.attempts, job.max_attempts) == (Status.QUEUED, 1, 3)
    assert job.version == before.version + 1
    assert job.finished_at is None
    assert job.queued_at == job.pushed_at == job.updated_at > before.updated_at
    entries = await api.app.queue.redis.lrange("q:default", 0, -1)
    assert [decode_entry(one).task_id for one in entries] == [task_id]


@on_shared
@pytest.mark.parametrize(
    "status", [Status.QUEUED, Status.RUNNING, Status.RETRY, Status.SUCCEEDED, Status.CANCELLED]
)
async def test_any_other_job_is_left_as_it_is(shared, status):
    api, stub = shared
    task_id = await put_into(api.app, status)
    before = await row(api.app, task_id)
    entries = await api.app.queue.redis.llen("q:default")
    assert await requeue(stub, task_id) is False
    assert await row(api.app, task_id) == before
    assert await api.app.queue.redis.llen("q:default") == entries


@on_shared
async def test_an_unknown_job_is_not_found(shared):
    _, stub = shared
    assert (await refused(requeue(stub, uuid4()))).code is grpc.StatusCode.NOT_FOUND


@on_shared
@pytest.mark.parametrize("job_id", ["", "42", SOME_ID.replace("-", "")])
async def test_a_malformed_id_is_refused_by_its_field(shared, job_id):
    _, stub = shared
    assert await invalid(requeue(stub, job_id)) == ["job_id"]


@on_shared
@pytest.mark.parametrize(("limit", "after"), [(1, 2), (2, 2), (100, 100)])
async def test_it_has_at_least_one_attempt_more(shared, limit, after):
    api, stub = shared
    task_id = await submit(api.app, max_attempts=limit)
    [job] = await claim(api.app, task_id)
    await finish(api.app, job, Outcome(Status.FAILED, "why"))
    await requeue(stub, task_id)
    assert (await row(api.app, task_id)).max_attempts == after


async def test_the_limit_of_a_hundred_attempts_binds_submitted_values_only(api, stub):
    task_id = await submit(api.app, max_attempts=100)
    await api.app.db.fetch_all(
        "UPDATE tasks SET attempts = 100, status = 'deadletter', finished_at = now(), pushed_at = NULL"
    )
    assert await requeue(stub, task_id) is True
    assert (await row(api.app, task_id)).max_attempts == 101
    [job] = await claim(api.app, task_id)
    assert job.attempts == 101


async def test_of_many_requeues_at_once_one_is_told_that_it_did_it(api, stub):
    task_id = await put_into(api.app, Status.DEADLETTER)
    answers = await asyncio.gather(*[requeue(stub, task_id) for _ in range(20)])
    assert sorted(answers) == [False] * 19 + [True]


@pytest.mark.of_reference
async def test_it_is_queued_while_redis_is_down_and_counted(settings):
    async with proxied_redis(settings) as (through, redis), serving(through) as (api, stub):
        task_id = await put_into(api.app, Status.FAILED)
        await redis.refuse()
        failures = metric(api.app, "push_failures")
        assert await requeue(stub, task_id) is True
        assert (await row(api.app, task_id)).status is Status.QUEUED
        assert metric(api.app, "push_failures") == failures + 1


async def test_it_leaves_the_list_of_dead_letters(api, stub):
    task_id, other = await put_into(api.app, Status.DEADLETTER), await put_into(api.app, Status.DEADLETTER)
    jobs = [await row(api.app, one) for one in (task_id, other)]
    api.app.hints.dead(jobs)
    redis = api.app.queue.redis
    await until(lambda: redis.llen("dlq:default"), "the dead letters are shown")
    await requeue(stub, task_id)
    assert await redis.lrange("dlq:default", 0, -1) == [api.app.parts.encode_entry(jobs[1])]


async def test_a_worker_runs_it_again_and_it_can_succeed(settings, api, stub):
    task_id = await submit(api.app, "flaky", payload_json='{"failures": 2}', max_attempts=2)
    async with running_worker(settings, under_test.parts()):
        dead = await until_status(api.app, task_id, Status.DEADLETTER)
        assert dead.attempts == 2
        assert await requeue(stub, task_id) is True
        job = await until_status(api.app, task_id, Status.SUCCEEDED)
    assert (job.attempts, job.max_attempts) == (3, 3)
    attempts = await api.app.db.fetch_all("SELECT attempt, ok FROM task_attempts ORDER BY attempt")
    assert [(one["attempt"], one["ok"]) for one in attempts] == [(1, False), (2, False), (3, True)]
