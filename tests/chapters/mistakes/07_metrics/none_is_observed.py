"""None is put down as a duration."""

from scheduler import metrics

TEST = "test_task_2_counts_a_job_whose_duration_nobody_knows"
SAYS = "None means that nobody knows how long it ran"


class Metrics(metrics.Metrics):
    def finished(self, job, status, seconds):
        self.jobs_completed.labels(job.type, status).inc()
        self.job_duration.labels(job.type).observe(seconds)


def build_metrics(registry):
    return Metrics(registry)
