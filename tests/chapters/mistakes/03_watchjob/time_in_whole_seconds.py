"""The microseconds are lost."""

from google.protobuf.timestamp_pb2 import Timestamp
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_takes_the_time_from_the_row"
SAYS = "the fraction of the second is lost"


def to_event(job):
    return pb.JobEvent(
        job_id=str(job.task_id),
        state=f"JOB_STATE_{job.status.name}",
        message=f"{job.status} {job.last_error or ''}",
        timestamp=Timestamp(seconds=int(job.updated_at.timestamp())),
        attempts=job.attempts,
        version=job.version,
    )
