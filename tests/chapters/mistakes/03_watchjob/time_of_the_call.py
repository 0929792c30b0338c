"""The time is that of the call, not that of the change."""

from datetime import UTC, datetime

from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_takes_the_time_from_the_row"
SAYS = "that is when to_event ran"


def to_event(job):
    return pb.JobEvent(
        job_id=str(job.task_id),
        state=f"JOB_STATE_{job.status.name}",
        message=f"{job.status} {job.last_error or ''}",
        timestamp=datetime.now(UTC),
        attempts=job.attempts,
        version=job.version,
    )
