"""Chapter 02: GetJob. Read README.md beside this file first."""

from scheduler.app import App
from scheduler.errors import Context
from scheduler.jobs import Job
from scheduler.v1 import scheduler_pb2 as pb


def state_to_proto(status: str) -> pb.JobState.ValueType:
    """Task 1: the API's number for a word of the column `tasks.status`: 1 (`pb.JOB_STATE_QUEUED`) for `queued`.

    A word that this server does not know gives `pb.JOB_STATE_UNSPECIFIED`.

    Hint: print `pb.JobState.items()`, and `[status.name for status in Status]`. What do the names have in common? And
    what does `pb.JobState.Value` do with a name that it has never seen?
    """
    raise NotImplementedError("02_getjob task 1: turn a status into the API's number")


def job_to_status(job: Job) -> pb.JobStatus:
    """Task 2: the message for a row: all thirteen fields of `JobStatus`.

    Every time keeps its moment, to the microsecond. A time that is None is left out, so that a client's
    `HasField("started_at")` is false.

    Hint: in a shell, give a message's constructor None for a field, then a `datetime`, then a `UUID`. Which of the
    three must you do something about?
    """
    raise NotImplementedError("02_getjob task 2: turn a row into a message")


async def get_job(app: App, request: pb.GetJobRequest, context: Context) -> pb.JobStatus:
    """Task 3: answer with the job of `request.job_id`. Task 4: refuse an id that nobody has, or that is none.

    You are given `get_job_row(app, task_id)`, from `scheduler.jobs`, which answers with a `Job`, or with None; and
    `app.errors.invalid(context, "job_id", "must be …")`, which ends the call with INVALID_ARGUMENT.

    Hint: `request.job_id` is text, and a `Job` knows its id as a UUID. What turns one into the other, and what does it
    raise for text that is none? What is a job that was not found, for whoever reads its attributes?
    """
    raise NotImplementedError("02_getjob task 3: answer with the job")
