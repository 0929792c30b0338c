"""`type(error) is` forgets the classes that are derived."""

from scheduler.jobs import PermanentError, Status
from scheduler.worker.one_job import Outcome, sentence

TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "a subclass of PermanentError: the status: expected 'failed'"


def decide(job, error):
    if error is None:
        return Outcome(Status.SUCCEEDED)
    if type(error) is PermanentError:
        return Outcome(Status.FAILED, sentence(error))
    return Outcome(Status.RETRY if job.attempts < job.max_attempts else Status.DEADLETTER, sentence(error))
