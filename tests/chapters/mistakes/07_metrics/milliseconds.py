"""Durations in milliseconds."""

from scheduler import metrics

TEST = "test_task_2_measures_in_seconds"
SAYS = "those are milliseconds"


class Metrics(metrics.Metrics):
    def finished(self, job, status, seconds):
        super().finished(job, status, seconds * 1000)


def build_metrics(registry):
    return Metrics(registry)
