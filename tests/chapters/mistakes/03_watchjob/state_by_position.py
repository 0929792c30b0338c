"""The position in one enum is taken for the number in another."""

from scheduler.jobs import Status
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_names_the_state"
SAYS = "look the number up by name"


def to_event(job):
    return pb.JobEvent(
        job_id=str(job.task_id),
        state=list(Status).index(job.status),
        message=f"{job.status} {job.last_error or ''}",
        timestamp=job.updated_at,
        attempts=job.attempts,
        version=job.version,
    )
