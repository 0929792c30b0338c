"""The labels are chosen, and nothing is added."""

from scheduler import metrics

TEST = "test_task_2_counts_submitted_jobs_by_priority_and_type"
SAYS = "nothing was counted"


class Metrics(metrics.Metrics):
    def submitted(self, job):
        self.jobs_submitted.labels(job.priority, job.type)


def build_metrics(registry):
    return Metrics(registry)
