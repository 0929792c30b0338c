"""A time with a fraction is written in one way, and one without in another, which forgets the zone."""

from google.protobuf.timestamp_pb2 import Timestamp
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "expected '2024-05-17 12:00:00.000000', got '2024-05-17 08:30:00.000000'"


def to_event(job):
    event = pb.JobEvent(
        job_id=str(job.task_id),
        state=f"JOB_STATE_{job.status.name}",
        message=f"{job.status} {job.last_error or ''}",
        attempts=job.attempts,
        version=job.version,
    )
    whole = job.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    text = job.updated_at.isoformat() if job.updated_at.microsecond else whole
    timestamp = Timestamp()
    timestamp.FromJsonString(text)
    event.timestamp.CopyFrom(timestamp)
    return event
