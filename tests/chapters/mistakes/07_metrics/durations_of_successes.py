"""Only what succeeded puts down how long it took."""

from scheduler import metrics

TEST = "test_task_2_counts_types_without_a_handler_as_unknown"
SAYS = "scheduler_job_duration_seconds_count after submitted(job) and finished(job, failed, 0.1) of 20 jobs"


class Metrics(metrics.Metrics):
    def finished(self, job, status, seconds):
        super().finished(job, status, seconds if status == "succeeded" else None)


def build_metrics(registry):
    return Metrics(registry)
