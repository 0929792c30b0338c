"""Metrics in a table, made in a loop with a namespace; the page through WSGI in a thread of our own."""

import threading
from socketserver import ThreadingMixIn
from types import SimpleNamespace
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import Counter, Gauge, Histogram, make_wsgi_app
from scheduler.no_metrics import NoMetrics
from scheduler.worker.handlers import handlers

TASKS = [1, 2, 3]

TABLE = {
    "jobs_submitted": (Counter, "priority type"),
    "jobs_completed": (Counter, "type status"),
    "job_duration_seconds": (Histogram, "type"),
    "queue_depth": (Gauge, "priority"),
    "push_failures": (Counter, ""),
}


class Metrics(NoMetrics):
    def __init__(self, registry):
        self.all = {
            name: kind(name, name, labels.split(), namespace="scheduler", registry=registry)
            for name, (kind, labels) in TABLE.items()
        }

    def add(self, name, /, amount=1, **labels):
        metric = self.all[name]
        metric = metric.labels(**labels) if labels else metric
        metric.observe(amount) if hasattr(metric, "observe") else metric.inc(amount)

    def push_failed(self, number=1):
        self.add("push_failures", number)

    def submitted(self, job):
        self.add("jobs_submitted", priority=str(job.priority), type=self.bounded(job))

    def finished(self, job, status, seconds):
        self.add("jobs_completed", type=self.bounded(job), status=str(status))
        if isinstance(seconds, float):
            self.add("job_duration_seconds", seconds, type=self.bounded(job))

    def bounded(self, job):
        return job.type if job.type in set(handlers) else "unknown"


def build_metrics(registry):
    return Metrics(registry)


class Silent(WSGIRequestHandler):
    def log_message(self, *args):
        pass


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def serve_metrics(registry, port, host="127.0.0.1", is_ready=lambda: True):
    server = make_server(host, port, make_wsgi_app(registry), Threads, Silent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()

    def close():
        server.shutdown()
        thread.join()
        server.server_close()

    return SimpleNamespace(port=server.server_address[1], close=close)
