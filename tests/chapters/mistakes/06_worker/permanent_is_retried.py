"""A PermanentError is an error like any other."""

from scheduler.jobs import Status
from scheduler.worker.one_job import Outcome

TEST = "test_task_5_a_permanent_error_is_not_retried"
SAYS = "trying again is of no use"


def decide(job, error):
    if error is None:
        return Outcome(Status.SUCCEEDED)
    if job.attempts >= job.max_attempts:
        return Outcome(Status.DEADLETTER, str(error))
    return Outcome(Status.RETRY, str(error))
