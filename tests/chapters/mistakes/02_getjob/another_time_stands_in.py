"""Where a time is missing, updated_at stands in for it."""

from scheduler.api import get_job as reference

TEST = "test_task_2_leaves_out_a_time_that_is_not_there"
SAYS = "a client would take that for a time"


def job_to_status(job):
    message = reference.job_to_status(job)
    for name in ("started_at", "finished_at", "next_run_at"):
        getattr(message, name).FromDatetime(getattr(job, name) or job.updated_at)
    return message
