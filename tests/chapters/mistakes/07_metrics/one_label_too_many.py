"""A label that nobody asked for."""

from prometheus_client import Counter
from scheduler.no_metrics import NoMetrics

TEST = "test_task_2_counts_submitted_jobs_by_priority_and_type"
SAYS = "its labels are priority, status, type"


class Metrics(NoMetrics):
    def __init__(self, registry):
        labels = ["priority", "type", "status"]
        self.jobs = Counter("scheduler_jobs_submitted_total", "Jobs created", labels, registry=registry)

    def submitted(self, job):
        self.jobs.labels(job.priority, job.type, job.status).inc()


def build_metrics(registry):
    return Metrics(registry)
