"""Chapter 03: WatchJob. The present state at once, then each change, until a terminal state."""

from collections.abc import AsyncIterator

from scheduler.api.get_job import state_to_proto, timestamp
from scheduler.app import App
from scheduler.errors import Context, JobNotFound
from scheduler.jobs import Job, Status, find_job, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb


def to_event(job: Job) -> pb.JobEvent:
    """The event for the state that a row is in. Its time is the database's, the row's `updated_at`."""
    return pb.JobEvent(
        job_id=str(job.task_id),
        state=state_to_proto(job.status),
        message=describe(job),
        timestamp=timestamp(job.updated_at),
        attempts=job.attempts,
        version=job.version,
    )


def describe(job: Job) -> str:
    """A short sentence for people: what has just happened to the job."""
    match job.status:
        case Status.QUEUED if job.attempts == 0:
            return "queued"
        case Status.QUEUED:
            return f"queued again after attempt {job.attempts}"
        case Status.RUNNING:
            return f"attempt {job.attempts} of {job.max_attempts} began"
        case Status.SUCCEEDED:
            return f"attempt {job.attempts} succeeded"
        case Status.RETRY:
            return f"attempt {job.attempts} failed: {job.last_error}"
        case Status.FAILED:
            return f"attempt {job.attempts} failed for good: {job.last_error}"
        case Status.DEADLETTER:
            return f"attempt {job.attempts} failed and was the last: {job.last_error}"
        case Status.CANCELLED:
            return "cancelled"
        case newer:  # a word that a newer version wrote
            return str(newer)


async def watch_job(app: App, request: pb.WatchJobRequest, context: Context) -> AsyncIterator[pb.JobEvent]:
    """Stream a job's states, versions rising, from the first above `after_version` to a terminal one.

    Raises `InvalidRequest` for a malformed id, `JobNotFound` for an unknown one, and `Draining` when the server stops.
    A client that leaves cancels this generator wherever it waits; leaving the `async with` frees all that it held.
    """
    task_id = parse_job_id(request.job_id)
    # Watch first, read afterwards: a change between the two is then a hint that is waiting, not one that was missed.
    async with app.hub.watch(task_id) as watch:
        watch.version = request.after_version
        job = await find_job(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        watch.deliver(job)
        while True:
            job = await watch.newer()
            if job.version > watch.version:
                yield app.parts.to_event(job)
                watch.version = job.version
            if job.status.is_terminal:
                return
