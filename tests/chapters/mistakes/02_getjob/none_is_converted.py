"""None is converted like a time."""

from scheduler.api import get_job as reference

TEST = "test_task_2_leaves_out_a_time_that_is_not_there"
SAYS = "ask before you convert"


def job_to_status(job):
    message = reference.job_to_status(job)
    message.started_at.FromDatetime(job.started_at)
    message.finished_at.FromDatetime(job.finished_at)
    message.next_run_at.FromDatetime(job.next_run_at)
    return message
