"""The gauge is raised by each length."""

from scheduler import metrics

TEST = "test_task_4_shows_the_present_length_and_no_sum"
SAYS = "set the gauge, do not inc it"


class Metrics(metrics.Metrics):
    def depth(self, priority, entries):
        self.queue_depth.labels(priority).inc(entries)


def build_metrics(registry):
    return Metrics(registry)
