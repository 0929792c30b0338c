"""str(error) of an error without words is empty."""

from scheduler.jobs import PermanentError, Status
from scheduler.worker.one_job import Outcome

TEST = "test_task_5_says_what_went_wrong"
SAYS = "the outcome says nothing"


def decide(job, error):
    if error is None:
        return Outcome(Status.SUCCEEDED)
    status = Status.RETRY if job.attempts < job.max_attempts else Status.DEADLETTER
    return Outcome(Status.FAILED if isinstance(error, PermanentError) else status, str(error))
