"""Whatever type a client makes up is a label."""

from scheduler import metrics

TEST = "test_task_2_counts_types_without_a_handler_as_unknown"
SAYS = "anybody can make up types"


class Metrics(metrics.Metrics):
    def submitted(self, job):
        self.jobs_submitted.labels(job.priority, job.type).inc()


def build_metrics(registry):
    return Metrics(registry)
