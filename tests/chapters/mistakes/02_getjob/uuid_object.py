"""The id is given as a UUID."""

from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_2_fills_each_field"
SAYS = "a UUID must become text first"


def job_to_status(job):
    return pb.JobStatus(job_id=job.task_id)
