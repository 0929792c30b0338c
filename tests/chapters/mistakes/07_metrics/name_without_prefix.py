"""The names lack the system's prefix."""

from prometheus_client import Gauge
from scheduler.no_metrics import NoMetrics

TEST = "test_task_1_registers_each_metric_with_its_type"
SAYS = "every name of this system begins with scheduler_"


class Metrics(NoMetrics):
    def __init__(self, registry):
        self.depths = Gauge("queue_depth", "Entries", ["priority"], registry=registry)


def build_metrics(registry):
    return Metrics(registry)
