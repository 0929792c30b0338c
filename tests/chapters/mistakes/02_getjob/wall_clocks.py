"""The epoch is brought into the time's own zone, and within one zone Python subtracts what the clocks on the wall show."""

from datetime import UTC, datetime, timedelta

from scheduler.api import get_job

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "+02:00"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = ("created_at", "updated_at", "started_at", "finished_at", "next_run_at")


def job_to_status(job):
    message = get_job.job_to_status(job)
    for name in TIMES:
        if (time := getattr(job, name)) is not None:
            since = time - EPOCH.astimezone(time.tzinfo)
            getattr(message, name).FromMicroseconds(since // timedelta(microseconds=1))
    return message
