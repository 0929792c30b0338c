"""The API server: the pieces of a `Parts` behind gRPC, with health, reflection and metrics beside them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from scheduler.app import App, open_app
from scheduler.config import ConfigError, Settings
from scheduler.duties import every
from scheduler.errors import Context
from scheduler.interceptors import ErrorInterceptor, LimitInterceptor
from scheduler.parts import Parts
from scheduler.process import Readiness, background, process_registry, serving_metrics
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc
from scheduler.wire import read_job, read_jobs

SERVICE = pb.DESCRIPTOR.services_by_name["SchedulerService"].full_name
METRICS_PORT = 2112
LARGEST_MESSAGE = 32 * 1024 * 1024
DEPTH_SECONDS = 2.0


class Servicer(scheduler_pb2_grpc.SchedulerServiceServicer):
    """Each RPC calls its piece. One that may read much, or wait for a lock, is a guest: it holds nobody else up."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def SubmitJob(self, request: pb.SubmitJobRequest, context: Context) -> pb.SubmitJobResponse:
        task_id = await self._app.parts.submit_job(self._app, read_job(request.job))
        return pb.SubmitJobResponse(job_id=str(task_id))

    async def SubmitJobs(self, request: pb.SubmitJobsRequest, context: Context) -> pb.SubmitJobsResponse:
        task_ids = await self._app.parts.submit_jobs(self._app, read_jobs(request))
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
    settings: Settings, parts: Parts, *, share_port: bool = False
) -> AsyncIterator[RunningApi]:
    """Serve until the block is left; then drain: refuse new calls, end the watches, and wait for calls up to the grace.

    With `share_port`, several processes listen on one port. Raises `ConfigError` if a port is taken, and what
    `open_app` raises if a service does not answer.
    """
    registry = process_registry()
    async with open_app(settings, parts, registry) as app:
        readiness = Readiness(app)
        with serving_metrics(app, registry, METRICS_PORT, readiness) as metrics_port:
            server, health_service = _make_server(app, share_port)
            port = _listen(server, settings)
            await _set_health(health_service, readiness.ready)
            await server.start()
            async with (
                background(readiness.watch(partial(_set_health, health_service))),
                background(every(DEPTH_SECONDS, app, parts.refresh_depth)),
            ):
                try:
                    yield RunningApi(app, port, metrics_port)
                finally:
                    readiness.drain()
                    await health_service.enter_graceful_shutdown()
                    app.hub.drain()
                    await server.stop(settings.shutdown_grace_seconds)


def _make_server(app: App, share_port: bool) -> tuple[aio.Server, health.aio.HealthServicer]:
    server = aio.server(
        interceptors=[
            app.parts.metrics_interceptor(app.metrics),
            ErrorInterceptor(app.errors),
            LimitInterceptor(app.settings),
        ],
        options=[
            ("grpc.so_reuseport", int(share_port)),
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
            ("grpc.max_send_message_length", LARGEST_MESSAGE),
            # A burst of thousands of streams waits for its turn. By default gRPC cancels what comes after the first
            # thousand; LimitInterceptor refuses what is too much, and says so.
            ("grpc.server.max_pending_requests", 100_000),
            ("grpc.server.max_pending_requests_hard_limit", 200_000),
        ],
    )
    scheduler_pb2_grpc.add_SchedulerServiceServicer_to_server(Servicer(app), server)
    health_service = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server, health_service


def _listen(server: aio.Server, settings: Settings) -> int:
    address = f"{settings.grpc_host}:{settings.grpc_port}"
    try:
        return server.add_insecure_port(address)
    except RuntimeError:
        raise ConfigError(f"GRPC_PORT: can't listen on {address}; choose a port that is free") from None


async def _set_health(service: health.aio.HealthServicer, ready: bool) -> None:
    status = health_pb2.HealthCheckResponse.ServingStatus.Value("SERVING" if ready else "NOT_SERVING")
    for name in ("", SERVICE):
        await service.set(name, status)
