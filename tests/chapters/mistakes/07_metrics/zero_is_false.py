"""`if seconds` leaves 0.0 out."""

from scheduler import metrics

TEST = "test_task_2_measures_a_handler_that_took_no_time"
SAYS = "0.0 is false in an if"


class Metrics(metrics.Metrics):
    def finished(self, job, status, seconds):
        super().finished(job, status, seconds if seconds else None)


def build_metrics(registry):
    return Metrics(registry)
