"""A time that is not there is filled in with protobuf's beginning of time."""

from google.protobuf.timestamp_pb2 import Timestamp
from scheduler.api.get_job import PRIORITIES, state_to_proto
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_2_leaves_out_a_time_that_is_not_there"
SAYS = "the message has it as 1970"


def timestamp(time):
    message = Timestamp()
    if time is not None:
        message.FromDatetime(time)
    return message


def job_to_status(job):
    return pb.JobStatus(
        job_id=str(job.task_id),
        state=state_to_proto(job.status),
        attempts=job.attempts,
        last_error=job.last_error,
        created_at=timestamp(job.created_at),
        updated_at=timestamp(job.updated_at),
        started_at=timestamp(job.started_at),
        finished_at=timestamp(job.finished_at),
        type=job.type,
        priority=PRIORITIES[job.priority],
        max_attempts=job.max_attempts,
        next_run_at=timestamp(job.next_run_at),
        version=job.version,
    )
