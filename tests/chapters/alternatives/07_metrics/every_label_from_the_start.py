"""Known label values are made at once, so that a rate is never missing; HTTP with http.server; one script for Redis."""

import threading
from http.server import ThreadingHTTPServer

from prometheus_client import Counter, Gauge, Histogram, MetricsHandler
from redis.exceptions import RedisError
from scheduler.database import Unavailable
from scheduler.jobs import TERMINAL, Priority
from scheduler.no_metrics import NoMetrics
from scheduler.worker.handlers import handlers

TASKS = [1, 2, 3, 4, 5]

NAN = float("nan")


class Metrics(NoMetrics):
    def __init__(self, registry):
        self._pushes = Counter("scheduler_push_failures_total", "failed pushes", registry=registry)
        self._in = Counter("scheduler_jobs_submitted_total", "in", ("priority", "type"), registry=registry)
        self._out = Counter("scheduler_jobs_completed_total", "out", ("type", "status"), registry=registry)
        self._time = Histogram(
            "scheduler_job_duration_seconds", "time", ("type",), buckets=(0.01, 1, 60), registry=registry
        )
        self._depth = Gauge("scheduler_queue_depth", "depth", ("priority",), registry=registry)
        self._age = Gauge("scheduler_queue_oldest_age_seconds", "age", ("priority",), registry=registry)
        types = [*handlers, "unknown"]
        for priority in Priority:
            self._depth.labels(priority)
            for type in types:
                self._in.labels(priority, type)
        for type in types:
            self._time.labels(type)
            for status in TERMINAL:
                self._out.labels(type, status)

    def push_failed(self, number=1):
        self._pushes.inc(number)

    def submitted(self, job):
        self._in.labels(job.priority, job.type if job.type in handlers else "unknown").inc()

    def finished(self, job, status, seconds):
        type = job.type if job.type in handlers else "unknown"
        self._out.labels(type, status).inc()
        None if seconds is None else self._time.labels(type).observe(seconds)

    def depth(self, priority, entries):
        self._depth.labels(priority).set(entries)

    def oldest_age(self, priority, seconds):
        self._age.labels(priority).set(seconds)


def build_metrics(registry):
    return Metrics(registry)


class Page:
    def __init__(self, registry, address):
        self._server = ThreadingHTTPServer(address, MetricsHandler.factory(registry))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self):
        return self._server.server_port

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(registry, port, host="127.0.0.1", is_ready=lambda: True):
    return Page(registry, (host, port))


LENGTHS = "local all = {} for i, key in ipairs(KEYS) do all[i] = redis.call('LLEN', key) end return all"
WAITING = """
    SELECT DISTINCT ON (priority) priority, extract(epoch FROM now() - queued_at)::float8 AS age
    FROM tasks WHERE pushed_at IS NOT NULL ORDER BY priority, pushed_at
"""


async def refresh_depth(app):
    lengths = [NAN] * len(Priority)
    ages = dict.fromkeys(Priority, NAN)
    try:
        lengths = await app.queue.redis.eval(LENGTHS, len(Priority), *map(app.parts.queue_name, Priority))
    except RedisError:
        pass
    try:
        rows = await app.db.fetch_all(WAITING)
        ages = dict.fromkeys(Priority, 0.0) | {row["priority"]: row["age"] for row in rows}
    except Unavailable:
        pass
    for priority, length in zip(Priority, lengths):
        app.metrics.depth(priority, length)
        app.metrics.oldest_age(priority, ages[priority])
