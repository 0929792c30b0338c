"""The server around the pieces: health, reflection, limits, what errors look like, and how it stops."""

import asyncio
import logging
import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from uuid import uuid4

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from scheduler.config import ConfigError
from scheduler.duties import every
from scheduler.process import background
from scheduler.server import running_api
from scheduler.v1 import scheduler_pb2 as pb

from tests import under_test
from tests.end_to_end.client import (
    channel_to,
    connected,
    ended,
    metric,
    next_event,
    refused,
    serving,
    until_answered,
)
from tests.helpers import submit, until
from tests.patience import SECONDS, deadline, within
from tests.proxies import proxied_database

SERVICE = "scheduler.v1.SchedulerService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health_of(channel, service=""):
    stub = health_pb2_grpc.HealthStub(channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS)).status


async def until_health(channel, status, service=""):
    async def look():
        return await health_of(channel, service) == status

    await until(look, f"the health of {service!r} is {status}")


# --- health and reflection


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_a_server_that_can_work_is_serving(api, service):
    async with channel_to(api) as channel:
        await until_health(channel, SERVING, service)


async def test_the_health_of_a_service_that_it_does_not_have_is_not_found(api):
    async with channel_to(api) as channel:
        assert (await refused(health_of(channel, "no.such.Service"))).code is grpc.StatusCode.NOT_FOUND


@pytest.mark.of_reference
async def test_health_follows_the_database_away_and_back(settings):
    quick = settings.model_copy(update={"database_wait_seconds": 0.2})
    async with (
        proxied_database(quick) as (through, database),
        serving(through) as (api, _),
        channel_to(api) as channel,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        await until_health(channel, SERVING, SERVICE)
        await database.refuse()
        await until_health(channel, NOT_SERVING, SERVICE)
        await until_health(channel, NOT_SERVING)
        assert (await http.get(f"http://127.0.0.1:{api.metrics_port}/readyz")).status_code == 503
        assert (await http.get(f"http://127.0.0.1:{api.metrics_port}/healthz")).status_code == 200
        await database.restore()
        await until_health(channel, SERVING, SERVICE)
        await until_health(channel, SERVING)
        assert (await http.get(f"http://127.0.0.1:{api.metrics_port}/readyz")).status_code == 200


@pytest.mark.of_reference
async def test_a_server_that_drains_is_not_serving_before_it_is_gone(settings):
    slow, go_on = asyncio.Event(), asyncio.Event()

    async def slow_get(app, request, context):
        slow.set()
        await go_on.wait()
        return pb.JobStatus()

    async with AsyncExitStack() as client:
        async with running_api(settings, replace(under_test.parts(), get_job=slow_get)) as api:
            stub = await client.enter_async_context(connected(api))
            channel = await client.enter_async_context(channel_to(api))
            watching = health_pb2_grpc.HealthStub(channel).Watch(
                health_pb2.HealthCheckRequest(service=SERVICE)
            )
            while (await next_event(watching)).status != SERVING:
                pass
            call = asyncio.ensure_future(stub.GetJob(pb.GetJobRequest()))
            await slow.wait()

            async def observe():
                assert (await next_event(watching)).status == NOT_SERVING
                watching.cancel()
                async with httpx.AsyncClient(trust_env=False) as http:
                    page = await http.get(f"http://127.0.0.1:{api.metrics_port}/readyz")
                go_on.set()
                assert page.status_code == 503

            observing = asyncio.create_task(observe())
        await observing
        assert await call == pb.JobStatus()  # the call that was under way was answered


async def test_a_health_watch_is_no_watch_of_a_job(api):
    async with channel_to(api) as channel:
        watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        await next_event(watching)
        assert metric(api.app, "watch_streams") == 0
        watching.cancel()


async def test_reflection_lists_and_describes_the_services(api):
    async with channel_to(api) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
        ]
        answers = [answer async for answer in stub.ServerReflectionInfo(iter(asked), timeout=SECONDS)]
    names = {service.name for service in answers[0].list_services_response.service}
    assert names == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert any(b"SubmitJob" in file for file in answers[1].file_descriptor_response.file_descriptor_proto)


async def test_a_method_that_there_is_not_is_unimplemented(api):
    async with channel_to(api) as channel:
        for method in (f"/{SERVICE}/NoSuchMethod", "/no.such.Service/Method"):
            answer = await refused(channel.unary_unary(method)(b""))
            assert answer.code is grpc.StatusCode.UNIMPLEMENTED


# --- limits


async def test_calls_beyond_the_limit_are_refused_and_later_ones_are_not(settings):
    inside, go_on = asyncio.Queue(), asyncio.Event()

    async def slow_get(app, request, context):
        inside.put_nowait(None)
        await go_on.wait()
        return pb.JobStatus()

    limited = settings.model_copy(update={"max_unary_calls": 2})
    async with serving(limited, replace(under_test.parts(), get_job=slow_get)) as (api, stub):
        calls = [asyncio.ensure_future(stub.GetJob(pb.GetJobRequest())) for _ in range(2)]
        for _ in calls:
            await within(inside.get(), "the call is under way")
        answer = await refused(stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop"))))
        assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await until_answered(api.app, 1, "SubmitJob", "RESOURCE_EXHAUSTED")
        async with channel_to(api) as channel:
            assert await health_of(channel) == SERVING, "a full server is not taken for dead"
        go_on.set()
        await asyncio.gather(*calls)
        await stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop")), timeout=SECONDS)


async def test_watches_beyond_the_limit_are_refused_and_crowd_out_nothing_else(settings):
    async with serving(settings.model_copy(update={"max_watches": 3, "max_unary_calls": 1})) as (api, stub):
        task_id = await submit(api.app)
        request = pb.WatchJobRequest(job_id=str(task_id))
        streams = [stub.WatchJob(request) for _ in range(3)]
        for stream in streams:
            await next_event(stream)
        assert (await ended(stub.WatchJob(request))).code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await stub.GetJob(pb.GetJobRequest(job_id=str(task_id)), timeout=SECONDS)
        streams.pop().cancel()

        async def there_is_room():
            stream = stub.WatchJob(request)
            try:
                return await next_event(stream)
            except grpc.aio.AioRpcError:
                return None

        assert (await until(there_is_room, "a watch that left makes room")).version == 1


async def test_a_message_that_is_too_large_is_refused(api, stub):
    huge = pb.Job(type="noop", payload_json='"' + "x" * (33 * 1024 * 1024) + '"')
    answer = await refused(stub.SubmitJob(pb.SubmitJobRequest(job=huge)))
    assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    await stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop")), timeout=SECONDS)


async def test_a_message_of_many_large_jobs_is_accepted(api, stub):
    large = pb.Job(type="noop", payload_json='"' + "x" * (1024 * 1024 - 2) + '"')
    answer = await stub.SubmitJobs(pb.SubmitJobsRequest(jobs=[large] * 12), timeout=SECONDS)
    assert len(set(answer.job_ids)) == 12


async def test_a_burst_of_two_thousand_calls_is_answered(api, stub):
    calls = [
        stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop")), timeout=SECONDS) for _ in range(1_900)
    ]
    answers = await asyncio.gather(*calls)
    assert len({answer.job_id for answer in answers}) == 1_900


# --- errors


SECRET = "postgresql://root:hunter2@db/scheduler SELECT * FROM tasks"


async def test_an_error_that_nobody_foresaw_is_internal_and_tells_the_client_nothing(settings, caplog):
    async def failing_get(app, request, context):
        raise RuntimeError(SECRET)

    async def failing_watch(app, request, context):
        yield pb.JobEvent(version=1)
        raise ZeroDivisionError(SECRET)

    parts = replace(under_test.parts(), get_job=failing_get, watch_job=failing_watch)
    async with serving(settings, parts) as (api, stub):
        answer = await refused(stub.GetJob(pb.GetJobRequest()))
        stream = stub.WatchJob(pb.WatchJobRequest())
        assert (await next_event(stream)).version == 1
        for seen in (answer, await ended(stream)):
            assert seen.code is grpc.StatusCode.INTERNAL
            assert not any(word in seen.sentence for word in SECRET.split())
            assert "Error" not in seen.sentence
        for method in ("GetJob", "WatchJob"):
            await until_answered(api.app, 1, method, "INTERNAL")
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR and record.exc_info]
    assert {type(record.exc_info[1]) for record in logged} == {RuntimeError, ZeroDivisionError}


@pytest.mark.parametrize("style", ["generator", "context.write"])
async def test_a_stream_may_yield_its_messages_or_write_them(settings, style):
    async def yielding(app, request, context):
        for version in (1, 2):
            yield pb.JobEvent(version=version)

    async def writing(app, request, context):
        for version in (1, 2):
            await context.write(pb.JobEvent(version=version))

    parts = replace(under_test.parts(), watch_job=yielding if style == "generator" else writing)
    async with serving(settings, parts) as (_, stub):
        stream = stub.WatchJob(pb.WatchJobRequest())
        assert [(await next_event(stream)).version for _ in range(2)] == [1, 2]
        assert await next_event(stream) is grpc.aio.EOF


async def test_a_call_that_its_client_cancels_is_counted_and_leaves_no_slot_taken(settings):
    inside = asyncio.Event()

    async def endless_get(app, request, context):
        inside.set()
        await asyncio.Event().wait()

    limited = settings.model_copy(update={"max_unary_calls": 1})
    async with serving(limited, replace(under_test.parts(), get_job=endless_get)) as (api, stub):
        call = stub.GetJob(pb.GetJobRequest())
        await within(inside.wait(), "the call is under way")
        call.cancel()
        await until_answered(api.app, 1, "GetJob", "CANCELLED")
        await stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop")), timeout=SECONDS)


@pytest.mark.of_reference
async def test_calls_are_counted_by_method_and_code(api, stub):
    [job_id] = [(await stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop")))).job_id]
    await stub.SubmitJobs(pb.SubmitJobsRequest())
    await stub.ListJobs(pb.ListJobsRequest())
    await stub.CancelJob(pb.CancelJobRequest(job_id=job_id))
    await stub.RequeueJob(pb.RequeueJobRequest(job_id=job_id))
    await refused(stub.CancelJob(pb.CancelJobRequest(job_id=str(uuid4()))))
    await refused(stub.ListJobs(pb.ListJobsRequest(page_size=-1)))
    await ended(stub.WatchJob(pb.WatchJobRequest(job_id=str(uuid4()))))
    await ended(stub.WatchJob(pb.WatchJobRequest(job_id="42")))
    counted = {
        ("SubmitJob", "OK"): 1,
        ("SubmitJobs", "OK"): 1,
        ("ListJobs", "OK"): 1,
        ("CancelJob", "OK"): 1,
        ("RequeueJob", "OK"): 1,
        ("CancelJob", "NOT_FOUND"): 1,
        ("ListJobs", "INVALID_ARGUMENT"): 1,
        ("WatchJob", "NOT_FOUND"): 1,
        ("WatchJob", "INVALID_ARGUMENT"): 1,
        ("SubmitJob", "UNKNOWN"): 0,
    }
    for (method, code), number in counted.items():
        await until_answered(api.app, number, method, code)


@pytest.mark.of_reference
async def test_the_metrics_port_shows_what_was_done(api, stub):
    await stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop", priority=pb.PRIORITY_HIGH)))
    async with httpx.AsyncClient(trust_env=False) as http:

        async def look():
            page = (await http.get(f"http://127.0.0.1:{api.metrics_port}/metrics")).text
            return page if 'scheduler_queue_depth{priority="high"} 1.0' in page else None

        page = await until(look, "the depth of the queue is shown")
    assert 'scheduler_jobs_submitted_total{priority="high",type="noop"} 1.0' in page
    assert 'scheduler_grpc_requests_total{code="OK",method="SubmitJob"} 1.0' in page
    assert "process_resident_memory_bytes" in page


@pytest.mark.needs_task("02_getjob", 5)
async def test_no_rpc_answers_anything_but_unavailable_while_the_database_is_away(settings):
    quick = settings.model_copy(update={"database_wait_seconds": 0.2})
    async with proxied_database(quick) as (through, database), serving(through) as (_, stub):
        await database.refuse()
        job_id = str(uuid4())
        calls = [
            refused(stub.GetJob(pb.GetJobRequest(job_id=job_id))),
            refused(stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop")))),
            refused(stub.SubmitJobs(pb.SubmitJobsRequest(jobs=[pb.Job(type="noop")]))),
            refused(stub.CancelJob(pb.CancelJobRequest(job_id=job_id))),
            refused(stub.RequeueJob(pb.RequeueJobRequest(job_id=job_id))),
            refused(stub.ListJobs(pb.ListJobsRequest())),
            ended(stub.WatchJob(pb.WatchJobRequest(job_id=job_id))),
        ]
        for answer in await asyncio.gather(*calls):
            assert answer.code is grpc.StatusCode.UNAVAILABLE, answer
            assert str(database.port) not in answer.sentence
        await database.restore()


# --- start and stop


async def test_calls_that_are_under_way_are_answered_before_the_server_is_gone(settings):
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow_submit(app, new):
        inside.set()
        await go_on.wait()
        return await under_test.parts().submit_job(app, new)

    async with AsyncExitStack() as client:
        async with running_api(settings, replace(under_test.parts(), submit_job=slow_submit)) as api:
            stub = await client.enter_async_context(connected(api))
            call = asyncio.ensure_future(stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop"))))
            await inside.wait()
            asyncio.get_running_loop().call_soon(go_on.set)
        assert (await call).job_id


async def test_a_call_that_never_ends_is_cancelled_after_the_grace(settings):
    inside = asyncio.Event()

    async def endless_get(app, request, context):
        inside.set()
        await asyncio.Event().wait()

    hasty = settings.model_copy(update={"shutdown_grace_seconds": 0.1})
    async with AsyncExitStack() as client, deadline("the server ended without the call"):
        async with running_api(hasty, replace(under_test.parts(), get_job=endless_get)) as api:
            stub = await client.enter_async_context(connected(api))
            call = asyncio.ensure_future(refused(stub.GetJob(pb.GetJobRequest())))
            await inside.wait()
        assert (await call).code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


@pytest.mark.parametrize("variable", ["grpc_port", "metrics_port"])
async def test_a_port_that_is_taken_is_named(settings, variable):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        there = settings.model_copy(update={variable: taken.getsockname()[1]})
        with pytest.raises(ConfigError, match=variable.upper()):
            async with running_api(there, under_test.parts()):
                pass


async def test_both_ports_are_free_again_after_a_server(settings):
    async with running_api(settings, under_test.parts()) as first:
        ports = {"grpc_port": first.port, "metrics_port": first.metrics_port}
    async with running_api(settings.model_copy(update=ports), under_test.parts()) as second:
        assert {"grpc_port": second.port, "metrics_port": second.metrics_port} == ports


async def test_a_duty_ends_at_whatever_moment_it_is_ended(api):
    """Python 3.11 can lose a cancellation that comes in the same turn of the loop as what was waited for."""
    parts = api.app.parts
    async with deadline("every duty ended"):
        for number in range(200):
            duty = (parts.reconcile, parts.refresh_depth, parts.pump_retries)[number % 3]
            async with background(every(0.001, api.app, duty), "the duty"):
                for _ in range(number % 40):
                    await asyncio.sleep(0)


async def test_no_task_is_left_after_a_server(settings):
    before = asyncio.all_tasks()
    async with serving(settings) as (_, stub):
        answer = await stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop")))
        await next_event(stub.WatchJob(pb.WatchJobRequest(job_id=answer.job_id)))

    async def none_is_left():
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        return not [one for one in left if "scheduler/" in repr(one)]

    await until(none_is_left, "every task of the server has ended")
