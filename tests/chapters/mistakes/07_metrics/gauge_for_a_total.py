"""A total is a gauge."""

from prometheus_client import Gauge
from scheduler.no_metrics import NoMetrics

TEST = "test_task_1_registers_each_metric_with_its_type"
SAYS = "it only ever rises"


class Metrics(NoMetrics):
    def __init__(self, registry):
        self.jobs = Gauge(
            "scheduler_jobs_submitted_total", "Jobs created", ["priority", "type"], registry=registry
        )


def build_metrics(registry):
    return Metrics(registry)
