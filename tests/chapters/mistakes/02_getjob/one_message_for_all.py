"""One message is filled again and again."""

from scheduler.api import get_job as reference
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "in the message of job 1 (queued), when job_to_status was called for job 2"

_message = pb.JobStatus()


def job_to_status(job):
    _message.CopyFrom(reference.job_to_status(job))
    return _message
