"""The connections of clients: looked after, renewed, and let go of in good order when the server stops."""

import asyncio
import os
import socket
import stat
import sys
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

import grpc
import httpx
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from scheduler import gate, process, server
from scheduler.server import running_api
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc

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
from tests.helpers import DIRECT, submit, until
from tests.patience import SECONDS, deadline, within
from tests.proxies import Proxy

pytestmark = [pytest.mark.timeout(60), pytest.mark.of_reference]

QUESTION = health_pb2.HealthCheckRequest()
STOPPING = "the server is stopping; call again"
SETTINGS, PING, GOAWAY = 4, 6, 7
PAUSE = 1234.5


def holding(method):
    """Parts whose `method` says when it was called, and answers when told."""
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def hold(app, request, context):
        inside.set()
        await go_on.wait()
        return pb.JobStatus()

    return replace(under_test.parts(), **{method: hold}), inside, go_on


# --- looked after


async def test_a_watch_whose_client_vanished_without_a_word_ends(settings, monkeypatch):
    # gRPC also pings after a request, to measure the line; such a ping would find out what keepalive must.
    options = server._options
    monkeypatch.setattr(server, "_options", lambda its: [*options(its), ("grpc.http2.bdp_probe", 0)])
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


def frame(kind, payload=b""):
    """A frame of HTTP/2 that concerns the connection."""
    return len(payload).to_bytes(3, "big") + bytes([kind, 0, 0, 0, 0, 0]) + payload


async def test_a_client_that_looks_after_its_connection_between_calls_is_not_thrown_out(
    settings, monkeypatch
):
    """gRPC's clients ask once a second at most, and are thrown out at the fourth time; this one does not wait."""
    monkeypatch.setattr(server, "SHORTEST_PING_SECONDS", 0)
    async with serving(settings) as (api, _), deadline("ten pings are answered"):
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS))
        for _ in range(10):
            writer.write(frame(PING, bytes(8)))
            kind = SETTINGS
            while kind != PING:
                header = await reader.readexactly(9)
                said, kind = await reader.readexactly(int.from_bytes(header[:3], "big")), header[3]
                assert kind != GOAWAY, said
        writer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel for what only Linux has")
async def test_the_kernel_waits_for_a_client_as_long_as_a_keepalive_does(settings):
    """What is sent to a host that is gone is nothing that a ping would find out sooner, or later."""
    odd = settings.model_copy(update={"keepalive_timeout_seconds": 12.345})
    async with serving(odd) as (api, stub):
        await stub.ListJobs(pb.ListJobsRequest(), timeout=SECONDS)
        assert [
            one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) for one in connections_of(api.port)
        ] == [12_345]


def connections_of(port):
    """The server's ends of the connections to a port of this process's own."""
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as one:
                    if one.getsockname()[1:2] == (port,) and one.getpeername():
                        yield one


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
                if error.details() != STOPPING:
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
    patient = settings.model_copy(update={"shutdown_grace_seconds": 3_600})
    async with AsyncExitStack() as client, deadline("it stopped when the last call had left"):
        async with running_api(patient, parts) as api:
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
        assert await looking == (grpc.StatusCode.UNAVAILABLE, STOPPING)
        assert await before == pb.JobStatus()


async def test_whoever_does_not_wait_until_a_server_has_stopped_leaves_no_port_behind(settings):
    parts, inside, _ = holding("get_job")
    patient = settings.model_copy(update={"shutdown_grace_seconds": 3_600})
    serving, leave = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def serve():
        async with running_api(patient, parts) as api:
            serving.set_result(api)
            await leave.wait()

    server = asyncio.create_task(serve())
    api = await within(serving, "it serves")
    async with connected(api) as stub:
        call = asyncio.ensure_future(stub.GetJob(pb.GetJobRequest(), timeout=SECONDS))
        await within(inside.wait(), "a call holds it up")
        leave.set()

        async def is_stopping():
            try:
                await stub.ListJobs(pb.ListJobsRequest(), timeout=SECONDS)
            except grpc.aio.AioRpcError as error:
                return error.details() == STOPPING

        await until(is_stopping, "it stops")
        server.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(server, "nobody waits any more")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", api.port)
        call.cancel()


async def test_a_call_that_comes_as_a_server_stops_is_refused_in_words_of_its_own(settings, monkeypatch):
    """It can't come in its last moments by chance, so here the server waits until it has."""
    holding, moments = asyncio.Event(), iter([True, False])

    async def moment(seconds, event):
        if next(moments):
            holding.set()
            await event.wait()

    monkeypatch.setattr(gate, "_within", moment)
    async with AsyncExitStack() as client:
        async with running_api(settings, under_test.parts()) as api:
            stub = await client.enter_async_context(connected(api))
            await stub.ListJobs(pb.ListJobsRequest(), timeout=SECONDS)

            async def come_late():
                await within(holding.wait(), "the gate holds whoever comes")
                return await refused(stub.ListJobs(pb.ListJobsRequest()))

            late = asyncio.create_task(come_late())
        answer = await late
        assert (answer.code, answer.sentence) == (grpc.StatusCode.UNAVAILABLE, STOPPING)


async def test_in_the_pause_before_it_stops_it_serves_on_and_says_that_it_is_not_ready(settings, monkeypatch):
    pausing, go_on, sleep = asyncio.Event(), asyncio.Event(), asyncio.sleep

    async def pause(seconds, *result):
        if seconds == PAUSE:
            pausing.set()
            await go_on.wait()
        return await sleep(0 if seconds == PAUSE else seconds, *result)

    monkeypatch.setattr(asyncio, "sleep", pause)
    monkeypatch.setattr(process, "TELL_SECONDS", 3_600)  # it is told, and not found out when somebody looks

    async def look(api, stub, watching):
        await within(pausing.wait(), "it pauses")
        while (await next_event(watching)).status != health_pb2.HealthCheckResponse.NOT_SERVING:
            pass
        async with httpx.AsyncClient(trust_env=False) as http:
            page = await http.get(f"http://127.0.0.1:{api.metrics_port}/readyz")
        await stub.ListJobs(pb.ListJobsRequest(), timeout=SECONDS)
        go_on.set()
        return page.status_code

    async with AsyncExitStack() as client:
        async with running_api(settings, under_test.parts(), pause_seconds=PAUSE) as api:
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
        answer = await call
        assert (answer.code, answer.sentence) == (grpc.StatusCode.UNAVAILABLE, STOPPING)
        await until_answered(api.app, 1, "GetJob", "UNAVAILABLE")


async def test_a_watch_of_its_health_does_not_hold_up_a_server_that_stops(settings):
    patient = settings.model_copy(update={"shutdown_grace_seconds": 3_600})
    async with AsyncExitStack() as client, asyncio.timeout(SECONDS):
        async with running_api(patient, under_test.parts()) as api:
            channel = await client.enter_async_context(channel_to(api))
            watching = health_pb2_grpc.HealthStub(channel).Watch(QUESTION)
            await next_event(watching)
            end = asyncio.ensure_future(ended(watching))
        answer = await end
        assert (answer.code, answer.sentence) == (grpc.StatusCode.UNAVAILABLE, STOPPING)
