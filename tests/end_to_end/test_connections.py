"""The connections of clients: looked after, renewed, and let go of in good order when the server stops."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace

import grpc
import httpx
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from scheduler import server
from scheduler.server import running_api
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc

from tests import under_test
from tests.end_to_end.client import channel_to, connected, ended, metric, next_event, refused, serving
from tests.helpers import DIRECT, submit, until
from tests.patience import SECONDS
from tests.proxies import Proxy

pytestmark = [pytest.mark.timeout(60), pytest.mark.of_reference]

QUESTION = health_pb2.HealthCheckRequest()


def holding(method):
    """Parts whose `method` says when it was called, and answers when told."""
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def hold(app, request, context):
        inside.set()
        await go_on.wait()
        return pb.JobStatus()

    return replace(under_test.parts(), **{method: hold}), inside, go_on


# --- looked after


async def test_a_watch_whose_client_vanished_without_a_word_ends(settings):
    quick = settings.model_copy(update={"keepalive_seconds": 0.2, "keepalive_timeout_seconds": 0.2})
    async with serving(quick) as (api, _):
        proxy = Proxy("127.0.0.1", api.port)
        await proxy.open()
        request = pb.WatchJobRequest(job_id=str(await submit(api.app)))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{proxy.port}", DIRECT) as channel:
            stream = scheduler_pb2_grpc.SchedulerServiceStub(channel).WatchJob(request)
            await next_event(stream)
            assert metric(api.app, "watch_streams") == 1
            proxy.stall()

            async def nobody_is_counted():
                return metric(api.app, "watch_streams") == 0

            await until(nobody_is_counted, "the watch of a client that is gone has ended")
            await proxy.close()


async def test_a_client_that_looks_after_its_silent_watch_is_not_thrown_out(settings, monkeypatch):
    """Its witness is a client of a server with gRPC's own settings, which is thrown out."""
    lenient = dict(server._options(settings))
    monkeypatch.setattr(server, "SHORTEST_PING_SECONDS", 0.01)
    pings = [("grpc.keepalive_time_ms", 100), ("grpc.http2.max_pings_without_data", 0)]
    strict = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), strict)
    port = strict.add_insecure_port("127.0.0.1:0")
    await strict.start()
    async with serving(settings) as (api, _), channel_to(api, *pings) as ours:
        watch = scheduler_pb2_grpc.SchedulerServiceStub(ours).WatchJob(
            pb.WatchJobRequest(job_id=str(await submit(api.app)))
        )
        await next_event(watch)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[*DIRECT, *pings]) as theirs:
            witness = health_pb2_grpc.HealthStub(theirs).Watch(QUESTION)
            assert (await ended(witness)).sentence.startswith("Too many pings")
        assert not watch.done()
        watch.cancel()
    await strict.stop(0)
    assert lenient["grpc.http2.min_ping_interval_without_data_ms"] <= 10_000, "what gRPC's clients are set to"


async def test_a_client_is_sent_to_a_new_connection_after_a_while(settings):
    peers = set()

    async def get_job(app, request, context):
        peers.add(context.peer())
        return pb.JobStatus()

    young = settings.model_copy(update={"max_connection_age_seconds": 0.2})
    async with serving(young, replace(under_test.parts(), get_job=get_job)) as (_, stub):

        async def came_anew():
            await stub.GetJob(pb.GetJobRequest(), timeout=SECONDS)
            return len(peers) > 1

        await until(came_anew, "the same client came by a second connection, and no call of it failed")


async def test_a_watch_on_an_old_connection_ends_with_unavailable_after_its_grace(settings):
    young = settings.model_copy(
        update={"max_connection_age_seconds": 0.1, "max_connection_age_grace_seconds": 0.1}
    )
    async with serving(young) as (api, stub):
        watch = stub.WatchJob(pb.WatchJobRequest(job_id=str(await submit(api.app))))
        assert (await ended(watch)).code is grpc.StatusCode.UNAVAILABLE


# --- the end


async def test_no_call_of_a_busy_server_that_stops_is_cancelled(settings):
    """Each client calls on and on until its connection is gone, as a client does that tries again at once."""
    codes = Counter()
    busy = asyncio.Event()

    async def call_on_and_on(stub):
        while True:
            try:
                await stub.GetJob(pb.GetJobRequest())
                codes[grpc.StatusCode.OK] += 1
            except grpc.aio.AioRpcError as error:
                codes[error.code()] += 1
                if "the server is stopping" not in error.details():
                    return
            if codes.total() > 2_000:
                busy.set()

    async def get_job(app, request, context):
        await asyncio.sleep(0.005)
        return pb.JobStatus()

    async with AsyncExitStack() as clients:
        async with running_api(settings, replace(under_test.parts(), get_job=get_job)) as api:
            stubs = [await clients.enter_async_context(connected(api)) for _ in range(10)]
            callers = [asyncio.create_task(call_on_and_on(stub)) for stub in stubs for _ in range(20)]
            await busy.wait()
        await asyncio.gather(*callers)
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}, codes


async def test_a_stopping_server_refuses_new_calls_and_answers_the_one_that_came_before(settings):
    parts, inside, go_on = holding("get_job")
    async with AsyncExitStack() as client:
        async with running_api(settings, parts) as api:
            stub = await client.enter_async_context(connected(api))
            before = asyncio.ensure_future(stub.GetJob(pb.GetJobRequest(), timeout=SECONDS))
            await inside.wait()

            async def is_refused():
                try:
                    await stub.ListJobs(pb.ListJobsRequest(), timeout=SECONDS)
                except grpc.aio.AioRpcError as error:
                    return error

            async def look():
                error = await until(is_refused, "a new call is refused")
                go_on.set()
                return error.code(), error.details()

            looking = asyncio.create_task(look())
        assert await looking == (grpc.StatusCode.UNAVAILABLE, "the server is stopping; call again")
        assert await before == pb.JobStatus()


async def test_in_the_pause_before_it_stops_it_serves_on_and_says_that_it_is_not_ready(settings, monkeypatch):
    pausing, go_on = asyncio.Event(), asyncio.Event()

    async def pause(seconds):
        assert seconds == 7
        pausing.set()
        await go_on.wait()

    monkeypatch.setattr(server, "_pause", pause)

    async def look(api, stub, watching):
        await pausing.wait()
        while (await next_event(watching)).status != health_pb2.HealthCheckResponse.NOT_SERVING:
            pass
        async with httpx.AsyncClient(trust_env=False) as http:
            page = await http.get(f"http://127.0.0.1:{api.metrics_port}/readyz")
        await stub.ListJobs(pb.ListJobsRequest(), timeout=SECONDS)
        go_on.set()
        return page.status_code

    async with AsyncExitStack() as client:
        async with running_api(settings, under_test.parts(), pause_seconds=7) as api:
            stub = await client.enter_async_context(connected(api))
            channel = await client.enter_async_context(channel_to(api))
            watching = health_pb2_grpc.HealthStub(channel).Watch(QUESTION)
            await next_event(watching)
            looking = asyncio.create_task(look(api, stub, watching))
        assert await looking == 503


async def test_a_call_that_never_ends_is_ended_with_unavailable_after_the_grace(settings):
    parts, inside, _ = holding("get_job")
    hasty = settings.model_copy(update={"shutdown_grace_seconds": 0.1})
    async with AsyncExitStack() as client, asyncio.timeout(SECONDS):
        async with running_api(hasty, parts) as api:
            stub = await client.enter_async_context(connected(api))
            call = asyncio.ensure_future(refused(stub.GetJob(pb.GetJobRequest())))
            await inside.wait()
        assert (await call).code is grpc.StatusCode.UNAVAILABLE


async def test_a_watch_of_its_health_does_not_hold_up_a_server_that_stops(settings):
    patient = settings.model_copy(update={"shutdown_grace_seconds": 3_600})
    async with AsyncExitStack() as client, asyncio.timeout(SECONDS):
        async with running_api(patient, under_test.parts()) as api:
            channel = await client.enter_async_context(channel_to(api))
            watching = health_pb2_grpc.HealthStub(channel).Watch(QUESTION)
            await next_event(watching)
            end = asyncio.ensure_future(ended(watching))
        assert (await end).code is grpc.StatusCode.UNAVAILABLE
