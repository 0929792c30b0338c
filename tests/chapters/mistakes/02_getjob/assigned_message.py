"""A message inside a message is assigned."""

from google.protobuf.timestamp_pb2 import Timestamp
from scheduler.api import get_job as reference

TEST = "test_task_2_keeps_each_time_to_the_microsecond"
SAYS = "a message inside a message can't be assigned"


def job_to_status(job):
    message = reference.job_to_status(job)
    created_at = Timestamp()
    created_at.FromDatetime(job.created_at)
    message.created_at = created_at
    return message
