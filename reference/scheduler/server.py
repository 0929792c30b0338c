"""The API server: the pieces of a `Parts` behind gRPC, with health, reflection and metrics beside them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from scheduler.app import App, open_app
from scheduler.beside import Beside
from scheduler.config import Settings
from scheduler.duties import every
from scheduler.errors import Context
from scheduler.gate import Gate
from scheduler.interceptors import ErrorInterceptor
from scheduler.limits import SERVICE, LimitInterceptor
from scheduler.listening import joined, mistake
from scheduler.parts import Parts
from scheduler.process import Readiness, background, process_registry, serving_metrics
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc
from scheduler.wire import read_job, read_jobs

METRICS_PORT = 2112
LARGEST_MESSAGE = 32 * 1024 * 1024
SHORTEST_PING_SECONDS = 5.0
DEPTH_SECONDS = 2.0


class Servicer(scheduler_pb2_grpc.SchedulerServiceServicer):
    """Each RPC calls its piece. One that may read much, or wait for a lock, is a guest: it holds nobody else up."""

    def __init__(self, app: App, beside: Beside) -> None:
        self._app = app
        self._beside = beside

    async def SubmitJob(self, request: pb.SubmitJobRequest, context: Context) -> pb.SubmitJobResponse:
        new = await self._beside.run(len(request.job.payload_json), read_job, request.job)
        task_id = await self._app.parts.submit_job(self._app, new)
        return pb.SubmitJobResponse(job_id=str(task_id))

    async def SubmitJobs(self, request: pb.SubmitJobsRequest, context: Context) -> pb.SubmitJobsResponse:
        new = await self._beside.run(request.ByteSize(), read_jobs, request)
        task_ids = await self._app.parts.submit_jobs(self._app, new)
        return pb.SubmitJobsResponse(job_ids=map(str, task_ids))

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.JobStatus:
        return await self._app.parts.get_job(self._app, request, context)

    def WatchJob(self, request: pb.WatchJobRequest, context: Context) -> AsyncIterator[pb.JobEvent]:
        return self._app.parts.watch_job(self._app, request, context)

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> pb.CancelJobResponse:
        return await self._app.parts.cancel_job(self._app.guest, request, context)

    async def RequeueJob(self, request: pb.RequeueJobRequest, context: Context) -> pb.RequeueJobResponse:
        return await self._app.parts.requeue_job(self._app.guest, request, context)

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        return await self._app.parts.list_jobs(self._app.guest, request, context)


@dataclass(frozen=True)
class RunningApi:
    """A server that serves: its app, and the ports that it listens on."""

    app: App
    port: int
    metrics_port: int


@asynccontextmanager
async def running_api(
    settings: Settings, parts: Parts, *, share_port: bool = False, pause_seconds: float = 0
) -> AsyncIterator[RunningApi]:
    """Serve until the block is left; then drain.

    For `pause_seconds` it serves on and says that it is not ready. Then it refuses new calls with UNAVAILABLE, ends the
    watches, and answers the calls that came before, if they end within the grace.

    With `share_port`, several processes listen on one port. Raises `ConfigError` if a port is taken, and what
    `open_app` raises if a service does not answer.
    """
    registry = process_registry()
    async with open_app(settings, parts, registry) as app:
        readiness = Readiness(app)
        with (
            serving_metrics(app, registry, METRICS_PORT, readiness) as metrics_port,
            closing(Beside()) as beside,
        ):
            gate = Gate()
            server, health_service = _make_server(app, gate, beside, share_port)
            port = _listen(server, settings)
            await _set_health(health_service, readiness.ready)
            await server.start()
            async with (
                background(
                    readiness.watch(partial(_set_health, health_service)), "the watch over the database"
                ),
                background(every(DEPTH_SECONDS, app, parts.refresh_depth), "the refreshing of gauges"),
            ):
                try:
                    yield RunningApi(app, port, metrics_port)
                finally:
                    try:
                        readiness.drain()
                        await health_service.enter_graceful_shutdown()
                        await asyncio.sleep(pause_seconds)
                        app.hub.drain()
                        await gate.close(settings.shutdown_grace_seconds)
                        await gate.hold()
                    finally:
                        # Whoever gives up waiting for all that leaves no port behind that nobody serves.
                        await _stop(server, gate)


async def _stop(server: aio.Server, gate: Gate) -> None:
    gate.release()
    # Those who are let go have their turn when this has told every client to go elsewhere; its grace is for them.
    await server.stop(1)


def _make_server(
    app: App, gate: Gate, beside: Beside, share_port: bool
) -> tuple[aio.Server, health.aio.HealthServicer]:
    server = aio.server(
        interceptors=[
            app.parts.metrics_interceptor(app.metrics),
            ErrorInterceptor(app.errors),
            LimitInterceptor(app.settings, gate, beside),
        ],
        options=[("grpc.so_reuseport", int(share_port)), *_options(app.settings)],
    )
    scheduler_pb2_grpc.add_SchedulerServiceServicer_to_server(Servicer(app, beside), server)
    health_service = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server, health_service


def _options(settings: Settings) -> list[tuple[str, int]]:
    def milliseconds(seconds: float) -> int:
        return round(seconds * 1000)

    return [
        ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ("grpc.max_send_message_length", LARGEST_MESSAGE),
        # A burst of thousands of streams waits for its turn. By default gRPC cancels what comes after the first
        # thousand; LimitInterceptor refuses what is too much, and says so.
        ("grpc.server.max_pending_requests", 100_000),
        ("grpc.server.max_pending_requests_hard_limit", 200_000),
        # A client that vanished without a word is found out, and its watches end.
        ("grpc.keepalive_time_ms", milliseconds(settings.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", milliseconds(settings.keepalive_timeout_seconds)),
        # Without this one the one above says nothing: a ping has a minute.
        ("grpc.http2.ping_timeout_ms", milliseconds(settings.keepalive_timeout_seconds)),
        # Clients may look after us as well. gRPC's default throws out who asks twice in five minutes while a watch is
        # silent; ten seconds is the shortest that its clients can be set to.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", milliseconds(SHORTEST_PING_SECONDS)),
        ("grpc.max_connection_age_ms", milliseconds(settings.max_connection_age_seconds)),
        ("grpc.max_connection_age_grace_ms", milliseconds(settings.max_connection_age_grace_seconds)),
    ]


def _listen(server: aio.Server, settings: Settings) -> int:
    try:
        return server.add_insecure_port(joined(settings.grpc_host, settings.grpc_port))
    except RuntimeError:
        raise mistake("GRPC", settings.grpc_host, settings.grpc_port) from None


async def _set_health(service: health.aio.HealthServicer, ready: bool) -> None:
    status = health_pb2.HealthCheckResponse.ServingStatus.Value("SERVING" if ready else "NOT_SERVING")
    for name in ("", SERVICE):
        await service.set(name, status)
