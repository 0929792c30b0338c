"""The time goes through a float, which holds some microseconds and others not."""

from google.protobuf.timestamp_pb2 import Timestamp
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "expected '2024-05-17 12:00:00.654321', got '2024-05-17 12:00:00.654320'"


def to_event(job):
    seconds = job.updated_at.timestamp()
    micros = int(seconds % 1 * 1_000_000)
    return pb.JobEvent(
        job_id=str(job.task_id),
        state=f"JOB_STATE_{job.status.name}",
        message=f"{job.status} {job.last_error or ''}",
        timestamp=Timestamp(seconds=int(seconds // 1), nanos=micros * 1_000),
        attempts=job.attempts,
        version=job.version,
    )
