"""The priority is always the same."""

from scheduler.api import get_job as reference
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_2_gives_each_priority_its_number"
SAYS = "that number is PRIORITY_DEFAULT"


def job_to_status(job):
    message = reference.job_to_status(job)
    message.priority = pb.PRIORITY_DEFAULT
    return message
