"""str(None) is the word None."""

from scheduler.api import get_job as reference

TEST = "test_task_2_leaves_last_error_empty_where_there_was_none"
SAYS = "the word None"


def job_to_status(job):
    message = reference.job_to_status(job)
    message.last_error = str(job.last_error)
    return message
