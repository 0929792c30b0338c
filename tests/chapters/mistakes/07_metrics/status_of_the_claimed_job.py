"""The status is the row's, as it was when the job was claimed."""

from scheduler import metrics

TEST = "test_task_2_counts_a_finished_job_by_its_ending"
SAYS = "so its status is running"


class Metrics(metrics.Metrics):
    def finished(self, job, status, seconds):
        super().finished(job, job.status, seconds)


def build_metrics(registry):
    return Metrics(registry)
