"""A duration's name has no unit."""

from prometheus_client import Histogram
from scheduler.no_metrics import NoMetrics

TEST = "test_task_1_registers_each_metric_with_its_type"
SAYS = "a metric's name carries its unit"


class Metrics(NoMetrics):
    def __init__(self, registry):
        self.duration = Histogram("scheduler_job_duration", "How long it ran", ["type"], registry=registry)


def build_metrics(registry):
    return Metrics(registry)
