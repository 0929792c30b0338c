"""What an error was made with may hold what no column does."""

from scheduler.jobs import PermanentError, Status
from scheduler.worker.one_job import Outcome

TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "a text that the database can't hold"


def decide(job, error):
    if error is None:
        return Outcome(Status.SUCCEEDED)
    text = " ".join(map(str, error.args)) or type(error).__name__
    if isinstance(error, PermanentError):
        return Outcome(Status.FAILED, text)
    return Outcome(Status.RETRY if job.attempts < job.max_attempts else Status.DEADLETTER, text)
