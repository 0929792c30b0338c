from prometheus_client import Counter, Gauge, Histogram
from scheduler.no_metrics import NoMetrics


class Metrics(NoMetrics):
    def __init__(self, registry):
        self.pushes = Counter("scheduler_push_failures", "Jobs that Redis did not take", registry=registry)
        self.jobs = Counter(
            "scheduler_jobs_submitted", "Jobs created", ["priority", "type"], registry=registry
        )
        self.ended = Counter("scheduler_jobs_completed", "Jobs ended", ["type", "status"], registry=registry)
        self.duration = Histogram("scheduler_job_duration_seconds", "Handlers", ["type"], registry=registry)
        self.depth_of = Gauge("scheduler_queue_depth", "Entries", ["priority"], registry=registry)

    def push_failed(self, number=1):
        self.pushes.inc(number)


def build_metrics(registry):
    return Metrics(registry)
