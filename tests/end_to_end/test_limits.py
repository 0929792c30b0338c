"""What the server takes on: calls, streams and bytes, each up to a limit; and bytes that are no message."""

import asyncio
import logging
import threading
from dataclasses import replace
from uuid import uuid4

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from scheduler import jobs, limits, server
from scheduler.errors import JobNotFound
from scheduler.v1 import scheduler_pb2 as pb

from tests import under_test
from tests.end_to_end.client import channel_to, count, next_event, refused, serving, until_answered
from tests.helpers import until
from tests.patience import SECONDS, within

pytestmark = [pytest.mark.timeout(60), pytest.mark.of_reference]

SERVICE = "/scheduler.v1.SchedulerService/"
MIB = 1024 * 1024
UNARY = ["SubmitJob", "SubmitJobs", "GetJob", "CancelJob", "RequeueJob", "ListJobs"]
NO_MESSAGE = [b"\xff", b"\x0a\x7f", b"\x0a\x02\xc3\x28\x2a\x02\xc3\x28", b"\xff" * 100_000]
"""A tag without a number, a field longer than the message, and text that is not UTF-8."""


def holding():
    """A `get_job` that says when it was called, and answers when told."""
    inside, go_on = asyncio.Queue(), asyncio.Event()

    async def get_job(app, request, context):
        inside.put_nowait(None)
        await go_on.wait()
        return pb.JobStatus()

    return replace(under_test.parts(), get_job=get_job), inside, go_on


def of_size(size):
    """A request of so many bytes, most of which no version of the API knows."""
    unknown = pb.SubmitJobRequest(job=pb.Job(payload_json="x" * size)).SerializeToString()
    return pb.GetJobRequest.FromString(b"\x9a\x3f" + unknown[1:])


# --- bytes that are no message


@pytest.mark.parametrize("method", UNARY)
@pytest.mark.parametrize("raw", NO_MESSAGE, ids=["tag", "length", "text", "large"])
async def test_bytes_that_are_no_message_are_invalid_and_counted(api, caplog, method, raw):
    async with channel_to(api) as channel:
        answer = await refused(channel.unary_unary(SERVICE + method)(raw))
    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "message" in answer.sentence
    await until_answered(api.app, 1, method, "INVALID_ARGUMENT")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_watch_of_bytes_that_are_no_message_is_invalid_and_counted(api):
    async with channel_to(api) as channel:
        answer = await refused(channel.unary_stream(SERVICE + "WatchJob")(b"\xff").read())
    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
    await until_answered(api.app, 1, "WatchJob", "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("unary_unary", "/grpc.health.v1.Health/Check"),
        ("unary_stream", "/grpc.health.v1.Health/Watch"),
        ("stream_stream", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
    ],
)
async def test_the_other_services_say_so_too(api, caplog, kind, path):
    async with channel_to(api) as channel:
        call = getattr(channel, kind)(path)
        answer = await refused(
            call(b"\xff")
            if kind == "unary_unary"
            else (call(b"\xff") if kind == "unary_stream" else call(iter([b"\xff"]))).read()
        )
    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def raise_it(app, context):
    raise JobNotFound(uuid4())


async def end_the_call(app, context):
    await app.errors.invalid(context, "job_id", "should be another")


@pytest.mark.parametrize("method", ["GetJob", "WatchJob"])
@pytest.mark.parametrize("refuse", [raise_it, end_the_call])
async def test_a_call_that_is_refused_after_its_client_has_left_counts_as_cancelled(
    settings, caplog, method, refuse
):
    inside = asyncio.Event()

    async def get_job(app, request, context):
        inside.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await refuse(app, context)

    async def watch_job(app, request, context):
        await get_job(app, request, context)
        yield pb.JobEvent()

    parts = replace(under_test.parts(), get_job=get_job, watch_job=watch_job)
    async with serving(settings, parts) as (api, _), channel_to(api) as channel:
        kind = channel.unary_unary if method == "GetJob" else channel.unary_stream
        call = kind(SERVICE + method)(b"")
        await within(inside.wait(), "the call is under way")
        call.cancel()
        await until_answered(api.app, 1, method, "CANCELLED")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# --- bytes


async def test_requests_beyond_the_budget_of_bytes_are_refused_and_small_ones_are_not(settings):
    parts, inside, go_on = holding()
    async with serving(settings.model_copy(update={"max_inflight_mib": 32}), parts) as (api, stub):
        first = asyncio.ensure_future(stub.GetJob(of_size(20 * MIB)))
        async with asyncio.timeout(SECONDS):
            await inside.get()
        answer = await refused(stub.GetJob(of_size(13 * MIB)))
        assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "MiB" in answer.sentence
        await until_answered(api.app, 1, "GetJob", "RESOURCE_EXHAUSTED")
        await stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop")), timeout=SECONDS)
        go_on.set()
        await first
        await stub.GetJob(of_size(32 * MIB - 100), timeout=SECONDS)


@pytest.mark.parametrize(("method", "reader"), [("SubmitJob", "read_job"), ("SubmitJobs", "read_jobs")])
async def test_the_loop_turns_while_a_large_request_is_checked(settings, monkeypatch, method, reader):
    checking, go_on = threading.Event(), threading.Event()
    check = getattr(server, reader)

    def slow_check(message):
        checking.set()
        assert go_on.wait(SECONDS)
        return check(message)

    monkeypatch.setattr(server, reader, slow_check)
    large = pb.Job(type="noop", payload_json='"' + "x" * 500_000 + '"')
    request = (
        pb.SubmitJobRequest(job=large) if method == "SubmitJob" else pb.SubmitJobsRequest(jobs=[large, large])
    )
    async with serving(settings) as (_, stub):
        call = asyncio.ensure_future(getattr(stub, method)(request, timeout=SECONDS))

        async def is_checking():
            return checking.is_set()

        await until(is_checking, "the large request is being checked")
        await stub.ListJobs(pb.ListJobsRequest(), timeout=SECONDS)
        go_on.set()
        await call


async def test_a_large_request_whose_client_left_counts_until_its_bytes_are_let_go(settings, monkeypatch):
    checking, go_on = threading.Event(), threading.Event()

    def slow_check(message):
        checking.set()
        assert go_on.wait(SECONDS)
        raise AssertionError("nobody is there to hear this")

    monkeypatch.setattr(server, "read_job", slow_check)
    request = pb.SubmitJobRequest(job=pb.Job(payload_json="x" * 20 * MIB))
    async with serving(settings.model_copy(update={"max_inflight_mib": 32})) as (api, stub):
        call = stub.SubmitJob(request)

        async def is_checking():
            return checking.is_set()

        await until(is_checking, "the large request is being checked")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await refused(stub.GetJob(of_size(20 * MIB)))).code is grpc.StatusCode.RESOURCE_EXHAUSTED
        go_on.set()
        await until_answered(api.app, 1, "SubmitJob", "CANCELLED")
        assert (await refused(stub.GetJob(of_size(20 * MIB)))).code is grpc.StatusCode.INVALID_ARGUMENT


# --- streams of the other services


async def test_streams_of_health_and_reflection_have_a_limit_and_a_full_server_says_how_it_is(
    settings, monkeypatch
):
    monkeypatch.setattr(limits, "MAX_OTHER_STREAMS", 2)
    async with serving(settings) as (api, stub), channel_to(api) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        question = health_pb2.HealthCheckRequest()
        watching = health.Watch(question)
        await next_event(watching)
        reflecting = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await reflecting.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        await next_event(reflecting)
        for stream in (
            health.Watch(question),
            reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([])),
        ):
            assert (await refused(next_event(stream))).code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await health.Check(question, timeout=SECONDS)
        await stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop")), timeout=SECONDS)
        watching.cancel()

        async def there_is_room():
            stream = health.Watch(question)
            try:
                return await next_event(stream)
            except grpc.aio.AioRpcError:
                return None

        await until(there_is_room, "a stream that ended makes room")
        reflecting.cancel()


async def test_no_statement_is_larger_than_libpq_should_keep_and_still_it_is_all_or_none(
    api, stub, monkeypatch
):
    """libpq keeps a buffer of the largest statement that a connection ever sent."""
    monkeypatch.setattr(jobs, "LARGEST_STATEMENT", 1_000)
    large = [pb.Job(type="noop", payload_json='"' + "x" * 400 + '"') for _ in range(10)]
    assert len((await stub.SubmitJobs(pb.SubmitJobsRequest(jobs=large), timeout=SECONDS)).job_ids) == 10
    bad = pb.Job(type="noop", payload_json="[" + "9" * 400 + "e200000]")
    answer = await refused(stub.SubmitJobs(pb.SubmitJobsRequest(jobs=[*large, bad]), timeout=SECONDS))
    assert answer.fields == ["jobs[10].payload_json"]
    assert await count(api.app) == 10


def test_jobs_go_into_portions_in_their_order(monkeypatch):
    monkeypatch.setattr(jobs, "LARGEST_STATEMENT", 10)
    new = [jobs.NewJob("noop", payload_json="x" * size) for size in (4, 4, 4, 30, 1, 9)]
    portions = jobs._portions(new)
    assert [[len(one.payload_json) for one in portion] for portion in portions] == [[4, 4], [4], [30], [1, 9]]
    assert [one for portion in portions for one in portion] == new
