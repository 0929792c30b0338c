"""GetJob over a real connection: a row of the database as a client sees it."""

from uuid import uuid4

import grpc
import pytest
from scheduler.jobs import Status
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker.one_job import Outcome

from tests.end_to_end.client import (
    claim,
    finish,
    invalid,
    on_shared,
    refused,
    row,
    serving,
    until_answered,
)
from tests.helpers import SOME_ID, submit
from tests.patience import SECONDS
from tests.proxies import proxied_database


async def get(stub, task_id):
    return await stub.GetJob(pb.GetJobRequest(job_id=str(task_id)), timeout=SECONDS)


def times_of(status):
    names = ("created_at", "updated_at", "started_at", "finished_at", "next_run_at")
    return {name for name in names if status.HasField(name)}


def same_times(status, job):
    return all(
        getattr(status, name).ToDatetime(job.created_at.tzinfo) == getattr(job, name)
        for name in times_of(status)
    )


@on_shared
async def test_a_queued_job_shows_what_it_was_submitted_with(shared):
    api, stub = shared
    job_id = str(uuid4())
    handed_in = pb.Job(job_id=job_id, type="später", priority=pb.PRIORITY_CRITICAL, max_attempts=5)
    await stub.SubmitJob(pb.SubmitJobRequest(job=handed_in))
    status = await get(stub, job_id)
    assert (status.job_id, status.type, status.priority) == (job_id, "später", pb.PRIORITY_CRITICAL)
    assert (status.state, status.attempts, status.max_attempts, status.version) == (
        pb.JOB_STATE_QUEUED,
        0,
        5,
        1,
    )
    assert status.last_error == ""
    assert times_of(status) == {"created_at", "updated_at"}
    assert same_times(status, await row(api.app, job_id))


@on_shared
async def test_a_running_job_shows_when_it_began(shared):
    api, stub = shared
    [job] = await claim(api.app, await submit(api.app))
    status = await get(stub, job.task_id)
    assert (status.state, status.attempts, status.version) == (pb.JOB_STATE_RUNNING, 1, 2)
    assert times_of(status) == {"created_at", "updated_at", "started_at"}
    assert same_times(status, job)


@on_shared
@pytest.mark.parametrize(
    ("status", "state"),
    [
        (Status.SUCCEEDED, pb.JOB_STATE_SUCCEEDED),
        (Status.FAILED, pb.JOB_STATE_FAILED),
        (Status.DEADLETTER, pb.JOB_STATE_DEADLETTER),
        (Status.RETRY, pb.JOB_STATE_RETRY),
    ],
)
async def test_an_attempt_that_ended_shows_how(shared, status, state):
    api, stub = shared
    [job] = await claim(api.app, await submit(api.app))
    error = None if status is Status.SUCCEEDED else "ValueError: ünerwartet 💥"
    await finish(api.app, job, Outcome(status, error, delay=60))
    answer = await get(stub, job.task_id)
    assert (answer.state, answer.attempts, answer.version) == (state, 1, 3)
    assert answer.last_error == (error or "")
    last = "next_run_at" if status is Status.RETRY else "finished_at"
    assert times_of(answer) == {"created_at", "updated_at", "started_at", last}
    assert same_times(answer, await row(api.app, job.task_id))


@on_shared
async def test_a_cancelled_job_shows_when_it_ended(shared):
    api, stub = shared
    task_id = await submit(api.app)
    await api.app.parts.cancel_in_database(api.app, task_id)
    answer = await get(stub, task_id)
    assert answer.state == pb.JOB_STATE_CANCELLED
    assert times_of(answer) == {"created_at", "updated_at", "finished_at"}


@on_shared
async def test_an_id_may_be_asked_for_in_upper_case(shared):
    api, stub = shared
    task_id = await submit(api.app)
    assert (await get(stub, str(task_id).upper())).job_id == str(task_id)


@pytest.mark.of_reference
@on_shared
async def test_an_unknown_job_is_not_found(shared):
    _, stub = shared
    unknown = uuid4()
    answer = await refused(get(stub, unknown))
    assert answer.code is grpc.StatusCode.NOT_FOUND
    assert str(unknown) in answer.sentence


@pytest.mark.of_reference
@on_shared
@pytest.mark.parametrize(
    "job_id", ["", "42", "not-a-uuid", SOME_ID.replace("-", ""), f"urn:uuid:{SOME_ID}", f" {SOME_ID}"]
)
async def test_a_malformed_id_is_refused_by_its_field(shared, job_id):
    _, stub = shared
    assert await invalid(get(stub, job_id)) == ["job_id"]


@on_shared
async def test_reading_changes_nothing(shared):
    api, stub = shared
    task_id = await submit(api.app)
    before = await row(api.app, task_id)
    for _ in range(3):
        await get(stub, task_id)
    assert await row(api.app, task_id) == before


@pytest.mark.of_reference
async def test_each_answer_is_counted_with_its_code(api, stub):
    task_id = await submit(api.app)
    await get(stub, task_id)
    await refused(get(stub, uuid4()))
    await refused(get(stub, "42"))
    for code in ("OK", "NOT_FOUND", "INVALID_ARGUMENT"):
        await until_answered(api.app, 1, "GetJob", code)


@pytest.mark.needs_task("02_getjob", 5)
async def test_a_database_that_is_away_is_unavailable_and_says_nothing_of_where_it_was(settings):
    quick = settings.model_copy(update={"database_wait_seconds": 0.2})
    async with proxied_database(quick) as (through, database), serving(through) as (_, stub):
        await database.refuse()
        answer = await refused(get(stub, uuid4()))
        assert answer.code is grpc.StatusCode.UNAVAILABLE
        for secret in ("postgres", "127.0.0.1", str(database.port), "SELECT", "password"):
            assert secret not in answer.sentence
        await database.restore()
        assert (await refused(get(stub, uuid4()))).code in (
            grpc.StatusCode.NOT_FOUND,
            grpc.StatusCode.UNAVAILABLE,
        )
