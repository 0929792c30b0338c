"""Whether a type has a handler is asked once and then remembered, so a handler that is registered later (or taken away) changes nothing."""

# The registry of handlers is scheduler.worker.handlers.handlers; scheduler.app holds the same object.
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from scheduler.app import handlers
from scheduler.jobs import Job, Priority, Status
from scheduler.no_metrics import NoMetrics

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "a handler is registered for 'registered later'"


@lru_cache(maxsize=1024)
def _label(job_type: str) -> str:
    return job_type if job_type in handlers else "unknown"


def type_label(job: Job) -> str:
    """The job's type if it has a handler: the list of those is short, and ours."""
    return _label(job.type)


class Metrics(NoMetrics):
    """What is counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._push_failures = Counter(
            "scheduler_push_failures_total", "Jobs that Redis did not take", registry=registry
        )
        self._submitted = Counter(
            "scheduler_jobs_submitted_total",
            "Jobs that were created",
            ["priority", "type"],
            registry=registry,
        )
        self._completed = Counter(
            "scheduler_jobs_completed_total", "Jobs that ended", ["type", "status"], registry=registry
        )
        self._duration = Histogram(
            "scheduler_job_duration_seconds", "How long handlers ran", ["type"], registry=registry
        )
        self._depth = Gauge(
            "scheduler_queue_depth", "Entries in a queue in Redis", ["priority"], registry=registry
        )
        self._oldest_age = Gauge(
            "scheduler_queue_oldest_age_seconds",
            "For how long the oldest queued job has waited",
            ["priority"],
            registry=registry,
        )
        self._requests = Counter(
            "scheduler_grpc_requests_total", "RPCs that ended", ["method", "code"], registry=registry
        )
        self._request_seconds = Histogram(
            "scheduler_grpc_request_seconds", "How long RPCs took", ["method"], registry=registry
        )
        self._watch_streams = Gauge(
            "scheduler_watch_streams", "WatchJob streams that are open", registry=registry
        )

    def push_failed(self, number: int = 1) -> None:
        self._push_failures.inc(number)

    def submitted(self, job: Job) -> None:
        self._submitted.labels(priority=job.priority, type=type_label(job)).inc()

    def finished(self, job: Job, status: Status, seconds: float | None) -> None:
        label = type_label(job)
        self._completed.labels(type=label, status=status).inc()
        if seconds is not None:
            self._duration.labels(type=label).observe(seconds)

    def depth(self, priority: Priority, entries: float) -> None:
        self._depth.labels(priority=priority).set(entries)

    def oldest_age(self, priority: Priority, seconds: float) -> None:
        self._oldest_age.labels(priority=priority).set(seconds)

    def answered(self, method: str, code: str, seconds: float) -> None:
        self._requests.labels(method=method, code=code).inc()
        self._request_seconds.labels(method=method).observe(seconds)

    def watching(self, change: int) -> None:
        self._watch_streams.inc(change)


def build_metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)
