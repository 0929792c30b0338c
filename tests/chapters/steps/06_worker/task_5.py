from scheduler.jobs import PermanentError, Status

from workbook.loader import earlier

Outcome, sentence = earlier("Outcome"), earlier("sentence")


def decide(job, error):
    if error is None:
        return Outcome(Status.SUCCEEDED)
    if isinstance(error, PermanentError):
        status = Status.FAILED
    elif job.attempts >= job.max_attempts:
        status = Status.DEADLETTER
    else:
        status = Status.RETRY
    return Outcome(status, sentence(error))
