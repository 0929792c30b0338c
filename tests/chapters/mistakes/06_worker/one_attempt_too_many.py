"""`>` for `>=`."""

from scheduler.jobs import PermanentError, Status
from scheduler.worker.one_job import Outcome

TEST = "test_task_5_a_failure_of_the_last_attempt_is_a_dead_letter"
SAYS = "already counts the one that has just ended"


def decide(job, error):
    if error is None:
        return Outcome(Status.SUCCEEDED)
    if isinstance(error, PermanentError):
        return Outcome(Status.FAILED, str(error))
    if job.attempts > job.max_attempts:
        return Outcome(Status.DEADLETTER, str(error))
    return Outcome(Status.RETRY, str(error))
