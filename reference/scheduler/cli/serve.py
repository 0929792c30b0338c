"""`scheduler api` and `scheduler worker`: one part of the system, in one process or several, on services that run."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli.failures import expected
from scheduler.cli.up import Handlers

if TYPE_CHECKING:
    from scheduler.config import Settings

log = logging.getLogger(__name__)

Processes = Annotated[
    int,
    typer.Option(
        min=1,
        max=256,
        metavar="N",
        help="How many processes; METRICS_PORT is the first one's, and one more for each. One that dies begins anew.",
    ),
]
Child = Annotated[bool, typer.Option("--child", hidden=True)]


def api(processes: Processes = 1, handlers: Handlers = None, child: Child = False) -> None:
    """Serve the API.

    SIGTERM or Ctrl-C drains it: it says that it is not ready, refuses new calls
    two seconds later, answers those under way, and ends its watches.

    Needs DATABASE_URL (or COCKROACHDB_HOST) and REDIS_HOST. It listens on
    GRPC_PORT (8081), and its metrics are on METRICS_PORT (2112). Give it the
    worker's --handlers too, so that its metrics know their job types.

    Examples:

      scheduler api
      scheduler api --processes 4 --handlers shop.jobs
    """
    _start("api", _serve_api, processes, handlers or [], child)


def worker(processes: Processes = 1, handlers: Handlers = None, child: Child = False) -> None:
    """Run jobs.

    SIGTERM or Ctrl-C drains it: running jobs get a grace to end, and the rest
    are given back.

    Needs DATABASE_URL (or COCKROACHDB_HOST) and REDIS_HOST. It runs
    WORKER_POOL_SIZE jobs at once (100), and its metrics are on METRICS_PORT
    (2113).

    Examples:

      scheduler worker --handlers shop.jobs
      WORKER_POOL_SIZE=500 scheduler worker --processes 2
    """
    _start("worker", _serve_worker, processes, handlers or [], child)


Serve = Callable[["Settings", bool], Coroutine[Any, Any, None]]


def _start(name: str, serve: Serve, processes: int, modules: list[str], child: bool) -> None:
    from scheduler import logs
    from scheduler.cli import leaving, running
    from scheduler.cli import processes as several
    from scheduler.config import Settings

    with expected():
        loaded = running.load_handlers(modules)
        logs.configure()
        settings = Settings.from_environment()
        settings.database_conninfo()
        settings.redis_address()
        if processes > 1:
            several.run(name, processes, loaded, settings)
            return
        running.run(
            serve(settings, child),
            grace_seconds=settings.drain_pause_seconds + settings.shutdown_grace_seconds,
            on_stop=lambda: log.info("stopping"),
            stop_at_eof=child,
        )
    log.info("stopped")
    leaving.leave()


async def _serve_api(settings: "Settings", share_port: bool) -> None:
    from scheduler.parts import reference
    from scheduler.server import running_api

    pause = settings.drain_pause_seconds
    async with running_api(settings, reference(), share_port=share_port, pause_seconds=pause) as api:
        log.info(
            "the API serves on %s:%d, metrics on port %d", settings.grpc_host, api.port, api.metrics_port
        )
        await asyncio.Event().wait()


async def _serve_worker(settings: "Settings", _share_port: bool) -> None:
    from scheduler.parts import reference
    from scheduler.worker.service import running_worker

    async with running_worker(settings, reference()) as worker:
        log.info(
            "the worker runs %d jobs at once, metrics on port %d",
            settings.worker_pool_size,
            worker.metrics_port,
        )
        await asyncio.Event().wait()
