"""Chapter 07: the metrics, and the HTTP port that shows them.

Labels are few and bounded: a priority, a status, a method, or a job type that has a handler here; any other type counts
as `unknown`. A job id is never a label, for each new value of a label is a new series that Prometheus keeps.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakSet
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from redis.exceptions import RedisError

from scheduler.app import App
from scheduler.database import DatabaseError
from scheduler.jobs import Job, Priority, Status
from scheduler.metrics_server import BoundedServer
from scheduler.no_metrics import NoMetrics
from scheduler.worker.handlers import handlers

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
UNKNOWN = float("nan")
SILENCE_SECONDS = 3.0


class Metrics(NoMetrics):
    """What is counted. The methods are what pieces call; the fields are what Prometheus scrapes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(f"scheduler_{name}", help, labels, registry=registry)

        def gauge(name: str, help: str, *labels: str) -> Gauge:
            return Gauge(f"scheduler_{name}", help, labels, registry=registry)

        def histogram(name: str, help: str, *labels: str) -> Histogram:
            return Histogram(f"scheduler_{name}", help, labels, registry=registry, buckets=SECONDS)

        self.jobs_submitted = counter("jobs_submitted_total", "Jobs created", "priority", "type")
        self.jobs_completed = counter("jobs_completed_total", "Jobs that ended", "type", "status")
        self.job_duration = histogram(
            "job_duration_seconds", "How long the last attempt's handler ran", "type"
        )
        self.job_wait = histogram("job_wait_seconds", "From queued to claimed", "priority")
        self.job_retries = counter("job_retries_total", "Attempts that failed and will be retried", "type")
        self.jobs_inflight = gauge("jobs_inflight", "Jobs that this worker runs now")
        self.queue_depth = gauge(
            "queue_depth", "Entries in the Redis queue; NaN while Redis is away", "priority"
        )
        self.queue_oldest_age = gauge(
            "queue_oldest_age_seconds",
            "Age of the queued job that was pushed first; 0 if none is, NaN while the database is away",
            "priority",
        )
        self.leases_expired_total = counter("leases_expired_total", "Attempts ended by the reaper")
        self.stale_writes = counter("stale_writes_total", "Finishes that the fence refused")
        self.entries_repushed_total = counter("entries_repushed_total", "Lost entries that were pushed again")
        self.push_failures = counter("push_failures_total", "Jobs that Redis did not take")
        self.malformed_entries = counter("malformed_entries_total", "Queue entries that could not be read")
        self.unknown_entries_total = counter(
            "unknown_entries_total", "Queue entries of jobs that are not in the database"
        )
        self.unknown_types_total = counter(
            "unknown_types_total", "Entries that a worker took without a handler for their type"
        )
        self.watch_streams = gauge("watch_streams", "WatchJob streams that are open")
        self.grpc_requests = counter("grpc_requests_total", "RPCs that ended", "method", "code")
        self.grpc_request_duration = histogram(
            "grpc_request_seconds", "From an RPC's start to its end", "method"
        )

        # For what every job does: finding a series anew each time would take longer than counting. Labels are few.
        self._submitted = cache(self.jobs_submitted.labels)
        self._completed = cache(self.jobs_completed.labels)
        self._duration = cache(self.job_duration.labels)
        self._wait = cache(self.job_wait.labels)

    def submitted(self, job: Job) -> None:
        self._submitted(job.priority, type_label(job.type)).inc()

    def started(self, job: Job) -> None:
        if job.started_at is not None:
            self._wait(job.priority).observe((job.started_at - job.queued_at).total_seconds())

    def finished(self, job: Job, status: Status, seconds: float | None) -> None:
        self._completed(type_label(job.type), status).inc()
        if seconds is not None:
            self._duration(type_label(job.type)).observe(seconds)

    def retried(self, job: Job) -> None:
        self.job_retries.labels(type_label(job.type)).inc()

    def inflight(self, number: int) -> None:
        self.jobs_inflight.set(number)

    def leases_expired(self, number: int) -> None:
        self.leases_expired_total.inc(number)

    def stale_write(self) -> None:
        self.stale_writes.inc()

    def entries_repushed(self, number: int) -> None:
        self.entries_repushed_total.inc(number)

    def push_failed(self, number: int = 1) -> None:
        self.push_failures.inc(number)

    def malformed_entry(self) -> None:
        self.malformed_entries.inc()

    def unknown_entries(self, number: int) -> None:
        self.unknown_entries_total.inc(number)

    def unknown_types(self, number: int) -> None:
        self.unknown_types_total.inc(number)

    def watching(self, change: int) -> None:
        self.watch_streams.inc(change)

    def depth(self, priority: Priority, entries: float) -> None:
        self.queue_depth.labels(priority).set(entries)

    def oldest_age(self, priority: Priority, seconds: float) -> None:
        self.queue_oldest_age.labels(priority).set(seconds)

    def answered(self, method: str, code: str, seconds: float) -> None:
        self.grpc_requests.labels(method, code).inc()
        self.grpc_request_duration.labels(method).observe(seconds)


def type_label(type: str) -> str:
    """The label for a job type: itself if it has a handler here, else `unknown`, so that labels stay bounded."""
    return type if type in handlers else "unknown"


def build_metrics(registry: CollectorRegistry) -> Metrics:
    """Make the metrics, and register them with this registry alone: a test, or a second server, has its own."""
    return Metrics(registry)


AGES = """
    SELECT p.priority, (
        SELECT extract(epoch FROM now() - queued_at)::float8 FROM tasks
        WHERE priority = p.priority AND pushed_at IS NOT NULL ORDER BY pushed_at LIMIT 1
    ) AS age
    FROM unnest(%s::text[]) AS p(priority)
"""


async def refresh_depth(app: App) -> int:
    """Set the gauges of all four queues. What can't be known shows as NaN: zero, or the last value, would be a lie."""
    await _refresh_depths(app)
    await _refresh_ages(app)
    return 0


async def _refresh_depths(app: App) -> None:
    depths: Iterable[float]
    try:
        async with app.queue.redis.pipeline(transaction=False) as pipe:
            for priority in Priority:
                pipe.llen(app.parts.queue_name(priority))
            depths = await pipe.execute()
    except RedisError:
        depths = [UNKNOWN] * len(Priority)
    for priority, depth in zip(Priority, depths, strict=True):
        app.metrics.depth(priority, depth)


async def _refresh_ages(app: App) -> None:
    try:
        async with asyncio.timeout(SILENCE_SECONDS):  # a database that says nothing is away as well
            rows = await app.db.fetch_all(AGES, [[str(priority) for priority in Priority]])
        ages = {row["priority"]: row["age"] or 0.0 for row in rows}
    except (DatabaseError, TimeoutError):
        ages = {}
    for priority in Priority:
        app.metrics.oldest_age(priority, ages.get(priority, UNKNOWN))


@dataclass(frozen=True)
class MetricsServer:
    """An HTTP server in a thread of its own, so that a busy event loop can still be scraped."""

    port: int
    _server: WSGIServer
    _thread: threading.Thread

    def close(self) -> None:
        """Stop serving, and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(
    registry: CollectorRegistry,
    port: int,
    host: str = "127.0.0.1",
    is_ready: Callable[[], bool] = lambda: True,
) -> MetricsServer:
    """Serve `/metrics`, `/healthz` (the process lives) and `/readyz` (it can work) on a port; 0 takes a free one.

    If `is_ready` has an attribute `alive`, as a `Readiness` has, that is what `/healthz` says.

    Raises `OSError` if the port is taken.
    """
    metrics_page = make_wsgi_app(registry)

    def page(environ: dict[str, Any], start_response: Any) -> Any:
        match environ["PATH_INFO"]:
            case "/metrics":
                return metrics_page(environ, start_response)
            case "/healthz" if getattr(is_ready, "alive", True):
                status, text = "200 OK", "alive\n"
            case "/healthz":
                status, text = "503 Service Unavailable", "the event loop stands still\n"
            case "/readyz" if is_ready():
                status, text = "200 OK", "ready\n"
            case "/readyz":
                status, text = "503 Service Unavailable", "not ready\n"
            case _:
                status, text = "404 Not Found", "there are /metrics, /healthz and /readyz\n"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [text.encode()]

    server = BoundedServer(host, port)
    server.set_app(page)
    _listening.add(server)
    # Half a second, the default, is what closing would take.
    thread = threading.Thread(target=server.serve_forever, args=[0.05], name="metrics", daemon=True)
    thread.start()
    return MetricsServer(server.server_port, server, thread)


_listening: WeakSet[WSGIServer] = WeakSet()


def _leave_the_ports_to_the_parent() -> None:
    # A process that a handler forks would hold them, also when the worker is gone and another one wants them.
    for server in list(_listening):
        server.socket.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_the_ports_to_the_parent)
