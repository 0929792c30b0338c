from scheduler.worker.handlers import handlers
from workbook.loader import earlier


def label(job):
    return job.type if job.type in handlers else "unknown"


class Metrics(earlier("Metrics")):
    def submitted(self, job):
        self.jobs.labels(priority=job.priority, type=label(job)).inc()

    def finished(self, job, status, seconds):
        self.ended.labels(type=label(job), status=status).inc()
        if seconds is not None:
            self.duration.labels(type=label(job)).observe(seconds)


def build_metrics(registry):
    return Metrics(registry)
