"""The version is left out."""

from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_tells_the_id_the_attempts_and_the_version"
SAYS = "nothing was put there"


def to_event(job):
    return pb.JobEvent(
        job_id=str(job.task_id),
        state=f"JOB_STATE_{job.status.name}",
        message=f"{job.status} {job.last_error or ''}",
        timestamp=job.updated_at,
        attempts=job.attempts,
    )
