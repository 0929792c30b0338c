"""The zone is thrown away, and protobuf takes what is left for UTC."""

from scheduler.api import get_job as reference

TEST = "test_task_2_keeps_the_moment_of_a_time_in_another_zone"
SAYS = "the zone was dropped, not converted"


def job_to_status(job):
    message = reference.job_to_status(job)
    message.created_at.FromDatetime(job.created_at.replace(tzinfo=None))
    return message
