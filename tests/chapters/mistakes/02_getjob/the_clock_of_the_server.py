"""updated_at is the present."""

from scheduler.api import get_job as reference

TEST = "test_task_2_keeps_each_time_to_the_microsecond"
SAYS = "the row says when it was"


def job_to_status(job):
    message = reference.job_to_status(job)
    message.updated_at.GetCurrentTime()
    return message
