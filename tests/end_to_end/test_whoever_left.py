"""What was committed is followed up, whoever has left by then; and an API that starts without Redis accepts jobs."""

import asyncio

import pytest
from scheduler.app import open_app
from scheduler.jobs import Priority, Status
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker.one_job import Outcome
from scheduler.worker.service import running_worker

from tests import under_test
from tests.end_to_end.client import claim, count, finish, metric, serving
from tests.end_to_end.commands import environment_of, scheduler, serving_command
from tests.faults.tools import queued_ids
from tests.helpers import submit, until, until_status
from tests.patience import SECONDS, within
from tests.proxies import proxied_redis

pytestmark = [pytest.mark.timeout(60), pytest.mark.of_reference]

JOB = pb.Job(type="noop")
SUBMITS = {
    "SubmitJob": pb.SubmitJobRequest(job=JOB),
    "SubmitJobs": pb.SubmitJobsRequest(jobs=[JOB, JOB]),
}


async def leave(call):
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.parametrize("method", SUBMITS)
async def test_what_was_inserted_is_pushed_though_its_client_left_during_the_insert(api, stub, method):
    inserting = asyncio.Event()
    insert = api.app.db.fetch_all

    async def slow(sql, params=None):
        rows = await insert(sql, params)
        if "INSERT INTO tasks" in sql:
            inserting.set()
            await go_on.wait()  # committed, and the answer is on its way
        return rows

    go_on = asyncio.Event()
    api.app.db.fetch_all = slow
    call = getattr(stub, method)(SUBMITS[method])
    await leave_in_the_middle(api.app, call, method, inserting, go_on)

    async def all_pushed():
        return len(await queued_ids(api.app)) == await count(api.app)

    await until(all_pushed, "all that was inserted is in the queue")
    assert metric(api.app, "jobs_submitted", priority="default", type="noop") == await count(api.app) > 0


async def until_counted_as_cancelled(app, method):
    async def look():
        return metric(app, "grpc_requests", method=method, code="CANCELLED") == 1

    await until(look, f"the server knows that the client of {method} has left")


def held_up(owner, name):
    """A method of `owner` says when it is called, and goes on when told."""
    calling, go_on, method = asyncio.Event(), asyncio.Event(), getattr(owner, name)

    async def held(*arguments):
        calling.set()
        await go_on.wait()
        return await method(*arguments)

    setattr(owner, name, held)
    return calling, go_on


async def leave_in_the_middle(app, call, method, calling, go_on):
    await within(calling.wait(), "it is in the middle")
    await leave(call)
    await until_counted_as_cancelled(app, method)
    go_on.set()


@pytest.mark.parametrize(("method", "push"), [("SubmitJob", "push"), ("SubmitJobs", "push_many")])
async def test_what_was_inserted_is_pushed_though_its_client_left_during_the_push(api, stub, method, push):
    middle = held_up(api.app.queue, push)
    await leave_in_the_middle(api.app, getattr(stub, method)(SUBMITS[method]), method, *middle)

    async def all_pushed():
        return len(await queued_ids(api.app)) == await count(api.app)

    await until(all_pushed, "all that was inserted is in the queue")


async def test_a_job_that_was_requeued_is_pushed_though_its_client_left(api, stub):
    task_id = await submit(api.app)
    (job,) = await claim(api.app, task_id)
    await finish(api.app, job, Outcome(Status.DEADLETTER, "no more"))
    await api.app.queue.redis.delete("q:default")
    middle = held_up(api.app.queue, "push")
    call = stub.RequeueJob(pb.RequeueJobRequest(job_id=str(task_id)))
    await leave_in_the_middle(api.app, call, "RequeueJob", *middle)

    async def is_pushed():
        return await queued_ids(api.app, Priority.DEFAULT) == [task_id]

    await until(is_pushed, "the job is in the queue")


async def test_the_entry_of_a_job_that_was_cancelled_is_removed_though_its_client_left(api, stub):
    task_id = await submit(api.app)
    middle = held_up(api.app.queue.redis, "eval")
    call = stub.CancelJob(pb.CancelJobRequest(job_id=str(task_id)))
    await leave_in_the_middle(api.app, call, "CancelJob", *middle)

    async def is_removed():
        return not await queued_ids(api.app)

    await until(is_removed, "the entry is out of the queue")


async def test_what_is_being_followed_up_is_done_before_the_app_closes(settings):
    done = []

    async def follow_up():
        await asyncio.sleep(0.05)
        done.append(True)

    async with open_app(settings, under_test.parts()) as app:
        waiting = asyncio.create_task(app.see_through(follow_up()))
        await asyncio.sleep(0)
        waiting.cancel()
    assert done


# --- without Redis


async def test_an_api_that_starts_without_redis_accepts_jobs_and_pushes_once_it_is_there(settings, caplog):
    async with proxied_redis(settings) as (through, redis):
        await redis.refuse()
        async with serving(through) as (api, stub):
            said = [record.getMessage() for record in caplog.records if "REDIS_HOST" in record.getMessage()]
            assert len(said) == 1
            first = (await stub.SubmitJob(SUBMITS["SubmitJob"], timeout=SECONDS)).job_id
            await redis.restore()

            async def is_pushed():
                job_id = (await stub.SubmitJob(SUBMITS["SubmitJob"], timeout=SECONDS)).job_id
                return job_id in map(str, await queued_ids(api.app))

            await until(is_pushed, "jobs are pushed again")
            watch = stub.WatchJob(pb.WatchJobRequest(job_id=first))
            async with running_worker(settings, under_test.parts()):
                async with asyncio.timeout(SECONDS):
                    events = [event async for event in watch]
            assert events[-1].state == pb.JOB_STATE_SUCCEEDED


async def test_a_worker_that_starts_without_redis_works_once_it_is_there(settings):
    async with proxied_redis(settings) as (through, redis), open_app(settings, under_test.parts()) as app:
        await redis.refuse()
        async with running_worker(through, under_test.parts()):
            task_id = await submit(app)
            await redis.restore()
            await until_status(app, task_id, Status.SUCCEEDED)


@pytest.mark.parametrize("command", ["api", "worker"])
async def test_the_command_says_that_redis_is_away_and_serves(settings, command):
    environment = {**environment_of(settings), "REDIS_PORT": "1"}
    async with serving_command(environment, command) as process:
        line = await process.until("REDIS_PORT")
        assert "127.0.0.1:1" in line
        await process.until("metrics on port")
        assert await process.stops() == 0


@pytest.mark.parametrize(("variable", "value"), [("REDIS_PASSWORD", "wrong"), ("REDIS_DB", "999999")])
async def test_a_redis_that_refuses_us_ends_the_command_with_a_sentence_that_names_the_variable(
    settings, variable, value
):
    done = await scheduler({**environment_of(settings), variable: value}, "api")
    assert done.code == 1
    assert variable in done.sentence
    others = {"REDIS_PASSWORD", "REDIS_DB", "REDIS_HOST", "REDIS_PORT"} - {variable}
    assert not [other for other in others if other in done.sentence]
