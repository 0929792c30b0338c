"""A Summary in the place of a Histogram."""

from prometheus_client import Summary
from scheduler.no_metrics import NoMetrics

TEST = "test_task_1_registers_each_metric_with_its_type"
SAYS = "a Histogram also says how many took how long"


class Metrics(NoMetrics):
    def __init__(self, registry):
        self.duration = Summary(
            "scheduler_job_duration_seconds", "How long it ran", ["type"], registry=registry
        )


def build_metrics(registry):
    return Metrics(registry)
