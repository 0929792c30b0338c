"""What `workbook doctor` looks at beyond the machine: ports, and the services, which it starts and stops."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from workbook import checks
from workbook.checks import Check

if TYPE_CHECKING:
    from scheduler.config import Settings


def all_checks() -> Iterator[Check]:
    """Every check, one after another; some take seconds."""
    yield checks.python()
    yield checks.packages()
    yield checks.git()
    yield checks.progress_folder()
    folder = checks.data_folder()
    yield folder
    yield from ports()
    if folder.remedy:
        yield Check("services", "not tried without a data folder", "mend the data folder first")
    else:
        yield services()


def ports() -> Iterator[Check]:
    """Whether the ports of the API and of both metrics pages are free."""
    from scheduler import embedded
    from scheduler.config import ConfigError, Settings

    try:
        settings = Settings.from_environment()
    except ConfigError as error:
        yield Check("settings", str(error), "docs/settings.md says what each may be")
        return
    with suppress(embedded.EmbeddedError):
        if embedded.find(embedded.default_folder()) is not None:
            yield Check("ports", "in use by the scheduler that runs here now, or free")
            return
    metrics = settings.metrics_port
    api_metrics = 2112 if metrics is None else metrics
    worker_metrics = api_metrics and api_metrics + 1
    yield _port(settings.grpc_port, "GRPC_PORT", "the API")
    yield _port(api_metrics, "METRICS_PORT", "the API's metrics")
    yield _port(worker_metrics, "METRICS_PORT", "the worker's metrics")


def _port(port: int, variable: str, what: str) -> Check:
    name = f"port {port}"
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        remedy = f"end the program that has it, or start with {variable}={port + 1000} workbook serve"
        return Check(name, f"for {what}, can't be had ({os.strerror(error.errno or 0)})", remedy)
    return Check(name, f"is free, for {what}")


def services() -> Check:
    """Whether the database and Redis run, or can be started. What this starts, it stops."""
    from scheduler.cli.failures import Failure, expected
    from scheduler.cli.services import started

    if half := _half_running():
        return Check("services", half, "stop the scheduler that runs here (Ctrl-C), and start it again")
    said: list[str] = []
    try:
        with expected(), started(said.append) as settings:
            _ask(settings)
    except Failure as failure:
        remedy = "mend what it names; a data folder that can't be mended may be deleted, with its jobs"
        return Check("services", str(failure), remedy)
    if any("run already" in line for line in said):
        return Check("services", "PostgreSQL and Redis run here now, and answer")
    if any("environment names" in line for line in said):
        return Check("services", "the database and the Redis that the environment names answer")
    return Check("services", "PostgreSQL and Redis have started, answered and stopped")


def _half_running() -> str:
    """A sentence, if one of the two servers was killed while the other runs on."""
    from scheduler.embedded import default_folder
    from scheduler.embedded.records import running_record

    folder = default_folder().resolve()
    with suppress(OSError):
        postgres, redis = running_record(folder, "postgres"), running_record(folder, "redis")
        if redis and not postgres:
            return "PostgreSQL has ended, and Redis runs on without it"
        if postgres and not redis:
            return "Redis has ended, and PostgreSQL runs on without it"
    return ""


def _ask(settings: "Settings") -> None:
    import psycopg
    from redis import Redis

    with psycopg.connect(settings.database_conninfo(), connect_timeout=5) as database:
        database.execute("SELECT 1")
    with Redis(**settings.redis_address(), socket_timeout=5, socket_connect_timeout=5) as redis:
        redis.ping()
