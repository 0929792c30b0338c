"""The last failure is called failed."""

from scheduler.jobs import Status
from scheduler.worker.one_job import Outcome

TEST = "test_task_5_a_failure_of_the_last_attempt_is_a_dead_letter"
SAYS = "this one ran out of attempts"


def decide(job, error):
    if error is None:
        return Outcome(Status.SUCCEEDED)
    if job.attempts < job.max_attempts:
        return Outcome(Status.RETRY, str(error))
    return Outcome(Status.FAILED, str(error))
