"""The metrics are the module's, and each registry gets the same ones."""

from prometheus_client import CollectorRegistry
from scheduler import metrics

TEST = "test_task_1_keeps_two_registries_apart"
SAYS = "after push_failed(2) of the first: the two count together"

METRICS = metrics.Metrics(CollectorRegistry())


def build_metrics(registry):
    for metric in vars(METRICS).values():
        if hasattr(metric, "collect"):
            registry.register(metric)
    return METRICS
