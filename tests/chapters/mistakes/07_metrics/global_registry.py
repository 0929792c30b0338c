"""One metric goes into prometheus_client's global registry."""

from prometheus_client import Counter
from scheduler.no_metrics import NoMetrics

TEST = "test_task_1_registers_each_metric_with_its_type"
SAYS = "is in prometheus_client's global registry"


class Metrics(NoMetrics):
    def __init__(self, registry):
        self.jobs = Counter("scheduler_jobs_submitted_total", "Jobs created", ["priority", "type"])


def build_metrics(registry):
    return Metrics(registry)
