"""Chapter 03, tasks 1 to 7: WatchJob. Read README.md beside this file first."""

from collections.abc import AsyncIterator

from scheduler.app import App
from scheduler.errors import Context
from scheduler.jobs import Job
from scheduler.v1 import scheduler_pb2 as pb


def to_event(job: Job) -> pb.JobEvent:
    """Task 1: the event that tells a client about the row as it is now.

    Its timestamp is the row's `updated_at`, and its message is a short sentence for people, which says why when an
    attempt has failed.

    Hint: which of the event's six fields has a type that the row's column does not have?
    """
    raise NotImplementedError("03_watchjob task 1: make an event of a row")


async def watch_job(app: App, request: pb.WatchJobRequest, context: Context) -> AsyncIterator[pb.JobEvent]:
    """Task 2: send the present state at once. Tasks 3 to 7 make a watch of it.

    You are given `parse_job_id(text)` and `get_job_row(app, task_id)`, from `scheduler.jobs`. An unknown id is
    NOT_FOUND, a malformed one is INVALID_ARGUMENT. Make events with `app.parts.to_event(job)`.

    3. After that, an event for each version that you see; look every `app.settings.watch_poll_seconds`.
    4. End after the event of a terminal state.
    5. When the client leaves, stop, and leave nothing behind.
    6. Send only what is newer than `request.after_version`.
    7. Look at once when a hint comes on the job's channel.

    Hint: a `return` can answer once. What can a function do to answer many times?
    """
    raise NotImplementedError("03_watchjob task 2: send the first event")
    yield  # makes this a generator; your code will have a yield of its own
