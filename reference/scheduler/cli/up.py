"""`scheduler up`: the services, the API and the worker, in one process that one Ctrl-C stops."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from scheduler.cli.show import dim, say

if TYPE_CHECKING:
    from scheduler.config import Settings

Handlers = Annotated[
    list[str] | None,
    typer.Option(
        "--handlers",
        metavar="MODULE",
        help="A module that registers handlers. May be repeated; HANDLERS=a,b does the same.",
    ),
]


def up(
    demo: Annotated[
        bool, typer.Option("--demo", help="Submit a handful of jobs and show them at work, then serve on.")
    ] = False,
    handlers: Handlers = None,
) -> None:
    """Start everything: database, Redis, API and worker. Ctrl-C stops it all.

    Where DATABASE_URL (or COCKROACHDB_HOST) or REDIS_HOST is set, that service
    is used. Otherwise one is started here, and keeps its data between runs in
    the folder .data (SCHEDULER_DATA names another).

    The API listens on GRPC_PORT (8081); its metrics are on METRICS_PORT (2112),
    the worker's one port above.

    Examples:

      scheduler up --demo
      GRPC_PORT=9000 METRICS_PORT=9100 scheduler up
    """
    from scheduler import logs
    from scheduler.cli import leaving, running, services
    from scheduler.cli.failures import expected

    with expected():
        running.load_handlers(handlers or [])
        logs.configure()
        with services.started(lambda line: say(dim(line))) as settings:
            running.run(_serve(settings, demo), grace_seconds=settings.shutdown_grace_seconds)
    say(dim("Stopped."))
    leaving.leave()


async def _serve(settings: "Settings", demo: bool) -> None:
    from scheduler.cli import demo as demonstration
    from scheduler.parts import reference
    from scheduler.server import running_api
    from scheduler.worker.service import running_worker

    async with (
        running_api(settings, reference()) as api,
        running_worker(for_worker(settings), reference()) as worker,
    ):
        host = reachable(settings.grpc_host)
        metrics = f"http://{reachable(settings.metrics_host)}"
        say(f"API     {host}:{api.port}, metrics on {metrics}:{api.metrics_port}/metrics")
        say(
            f"Worker  {settings.worker_pool_size} jobs at once, metrics on {metrics}:{worker.metrics_port}/metrics"
        )
        try:
            if demo:
                await demonstration.show(f"{host}:{api.port}", api.metrics_port)
            say("Serving. Ctrl-C stops everything.")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            # Here, and not when the signal comes: a table that is being drawn would swallow it.
            say(dim("Stopping; Ctrl-C again ends it at once …"))
            raise


def for_worker(settings: "Settings") -> "Settings":
    """The worker's metrics are one port above the API's, unless any free port will do."""
    from scheduler.config import ConfigError

    port = settings.metrics_port
    if port == 65_535:
        raise ConfigError("METRICS_PORT should be at most 65534: the worker's metrics are one port above")
    return settings.model_copy(update={"metrics_port": port + 1}) if port else settings


def reachable(host: str) -> str:
    """The name to call a server by that listens on `host`."""
    return "localhost" if host in ("127.0.0.1", "::1", "[::1]", "0.0.0.0", "::", "[::]") else host
