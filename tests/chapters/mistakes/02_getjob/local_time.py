"""The time of the machine's own zone, without the zone."""

from datetime import datetime

from scheduler.api import get_job as reference

TEST = "test_task_2_keeps_each_time_to_the_microsecond"
SAYS = "the zone was dropped, not converted"


def job_to_status(job):
    message = reference.job_to_status(job)
    for name in ("created_at", "updated_at"):
        getattr(message, name).FromDatetime(datetime.fromtimestamp(getattr(job, name).timestamp()))
    return message
