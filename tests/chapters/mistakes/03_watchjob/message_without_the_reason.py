"""The message does not say why the attempt failed."""

from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_says_why_an_attempt_failed"
SAYS = "put job.last_error into it"


def to_event(job):
    return pb.JobEvent(
        job_id=str(job.task_id),
        state=f"JOB_STATE_{job.status.name}",
        message=str(job.status),
        timestamp=job.updated_at,
        attempts=job.attempts,
        version=job.version,
    )
