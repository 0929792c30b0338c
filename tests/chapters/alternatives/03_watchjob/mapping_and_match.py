"""The state from a mapping, the time by FromDatetime, the words by `match`, and fields that are set one by one."""

from google.protobuf.timestamp_pb2 import Timestamp
from scheduler.jobs import Status
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [1]

STATES = {
    "queued": pb.JOB_STATE_QUEUED,
    "running": pb.JOB_STATE_RUNNING,
    "succeeded": pb.JOB_STATE_SUCCEEDED,
    "failed": pb.JOB_STATE_FAILED,
    "deadletter": pb.JOB_STATE_DEADLETTER,
    "cancelled": pb.JOB_STATE_CANCELLED,
    "retry": pb.JOB_STATE_RETRY,
}


def to_event(job):
    when = Timestamp()
    when.FromDatetime(job.updated_at)
    event = pb.JobEvent(job_id=str(job.task_id), state=STATES.get(str(job.status), pb.JOB_STATE_UNSPECIFIED))
    event.timestamp.CopyFrom(when)
    event.attempts = job.attempts
    event.version = job.version
    match job:
        case _ if job.last_error:
            event.message = f"Attempt {job.attempts} of {job.max_attempts} went wrong ({job.last_error})"
        case _ if job.status is Status.RUNNING:
            event.message = f"Attempt {job.attempts} has begun"
        case _:
            event.message = f"Now {job.status}"
    return event
