"""The metrics are built and not returned."""

from scheduler.metrics import Metrics

TEST = "test_task_1_registers_each_metric_with_its_type"
SAYS = "is there a return?"


def build_metrics(registry):
    Metrics(registry)
