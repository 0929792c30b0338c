"""Each job is a series of its own."""

from prometheus_client import Counter
from scheduler.no_metrics import NoMetrics

TEST = "test_task_2_keeps_job_ids_out_of_labels"
SAYS = "the job's id is a label"


class Metrics(NoMetrics):
    def __init__(self, registry):
        labels = ["priority", "type", "job_id"]
        self.jobs = Counter("scheduler_jobs_submitted_total", "Jobs created", labels, registry=registry)

    def submitted(self, job):
        self.jobs.labels(job.priority, job.type, str(job.task_id)).inc()


def build_metrics(registry):
    return Metrics(registry)
