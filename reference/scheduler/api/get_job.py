"""Chapter 02: GetJob. A row of the database becomes a message of the API."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.app import App
from scheduler.errors import Context, JobNotFound
from scheduler.jobs import Job, Priority, Status, find_job, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

STATES: dict[str, pb.JobState.ValueType] = {
    status: pb.JobState.Value(f"JOB_STATE_{status.name}") for status in Status
}
PRIORITIES: dict[str, pb.Priority.ValueType] = {
    priority: pb.Priority.Value(f"PRIORITY_{priority.name}") for priority in Priority
}


def state_to_proto(status: str) -> pb.JobState.ValueType:
    """The API's number for a status; UNSPECIFIED for one that this server does not know.

    A newer server may have written a status that this one never heard of. That is no reason to fail.
    """
    return STATES.get(status, pb.JOB_STATE_UNSPECIFIED)


def job_to_status(job: Job) -> pb.JobStatus:
    """The message for a row. A time that is NULL is left out: a client asks `HasField`."""
    return pb.JobStatus(
        job_id=str(job.task_id),
        state=state_to_proto(job.status),
        attempts=job.attempts,
        last_error=job.last_error or "",
        created_at=timestamp(job.created_at),
        updated_at=timestamp(job.updated_at),
        started_at=timestamp(job.started_at),
        finished_at=timestamp(job.finished_at),
        type=job.type,
        priority=PRIORITIES.get(job.priority, pb.PRIORITY_UNSPECIFIED),
        max_attempts=job.max_attempts,
        next_run_at=timestamp(job.next_run_at),
        version=job.version,
    )


def timestamp(time: datetime | None) -> Timestamp | None:
    """A protobuf timestamp, to the microsecond. None stays None: protobuf takes it for an absent field."""
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message


async def get_job(app: App, request: pb.GetJobRequest, context: Context) -> pb.JobStatus:
    """Answer with one job. Raises `InvalidRequest` for a malformed id, `JobNotFound` for an unknown one."""
    task_id = parse_job_id(request.job_id)
    job = await find_job(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    return app.parts.job_to_status(job)
