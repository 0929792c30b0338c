"""The time zone is cut off."""

from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_takes_the_time_from_the_row"
SAYS = "without its time zone"


def to_event(job):
    return pb.JobEvent(
        job_id=str(job.task_id),
        state=f"JOB_STATE_{job.status.name}",
        message=f"{job.status} {job.last_error or ''}",
        timestamp=job.updated_at.replace(tzinfo=None),
        attempts=job.attempts,
        version=job.version,
    )
