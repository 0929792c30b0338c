"""Microseconds are rounded out of a float, which holds them for times near now and not for all."""

import math

from google.protobuf.timestamp_pb2 import Timestamp
from scheduler.api.get_job import PRIORITIES, state_to_proto
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = " in job_to_status of "
TIMES = ("created_at", "updated_at", "started_at", "finished_at", "next_run_at")


def job_to_status(job):
    message = pb.JobStatus(
        job_id=str(job.task_id),
        state=state_to_proto(job.status),
        attempts=job.attempts,
        last_error=job.last_error or "",
        type=job.type,
        priority=PRIORITIES[job.priority],
        max_attempts=job.max_attempts,
        version=job.version,
    )
    for name in TIMES:
        if (time := getattr(job, name)) is not None:
            fraction, seconds = math.modf(time.timestamp())
            stamp = Timestamp(seconds=int(seconds), nanos=int(fraction * 1e6) * 1000)
            getattr(message, name).CopyFrom(stamp)
    return message
