"""The time goes through a float."""

from scheduler.api import get_job as reference

TEST = "test_task_2_keeps_each_time_to_the_microsecond"
SAYS = "a float can't hold a time exactly"


def job_to_status(job):
    message = reference.job_to_status(job)
    message.created_at.FromNanoseconds(int(job.created_at.timestamp() * 1e9))
    return message
