"""Enumerated from zero, so that critical is UNSPECIFIED."""

from scheduler.api import get_job as reference
from scheduler.jobs import Priority

TEST = "test_task_2_gives_each_priority_its_number"
SAYS = "this one is PRIORITY_CRITICAL"


def job_to_status(job):
    message = reference.job_to_status(job)
    message.priority = list(Priority).index(job.priority)
    return message
