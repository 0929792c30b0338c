"""Only the seconds are kept."""

from scheduler.api import get_job as reference

TEST = "test_task_2_keeps_each_time_to_the_microsecond"
SAYS = "PostgreSQL keeps microseconds"


def job_to_status(job):
    message = reference.job_to_status(job)
    message.created_at.FromSeconds(int(job.created_at.timestamp()))
    message.updated_at.FromSeconds(int(job.updated_at.timestamp()))
    return message
