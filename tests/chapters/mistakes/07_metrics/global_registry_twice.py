"""The second call finds the first one's metrics in the global registry."""

from prometheus_client import Counter
from scheduler import metrics

TEST = "test_task_1_keeps_two_registries_apart"
SAYS = "give each metric registry=registry"


class Metrics(metrics.Metrics):
    def __init__(self, registry):
        super().__init__(registry)
        self.mine = Counter("scheduler_mine_total", "Mine")


def build_metrics(registry):
    return Metrics(registry)
