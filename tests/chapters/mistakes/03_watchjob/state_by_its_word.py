"""The word of the column is taken for a name of the API."""

from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_names_the_state"
SAYS = "are not the words of the column"


def to_event(job):
    return pb.JobEvent(
        job_id=str(job.task_id),
        state=str(job.status),
        message=f"{job.status} {job.last_error or ''}",
        timestamp=job.updated_at,
        attempts=job.attempts,
        version=job.version,
    )
