"""Times counted in whole microseconds, messages copied into place; the rows are read by an own statement, in a
transaction; statuses are set on the context instead of aborting."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from scheduler.jobs import Job
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [1, 2, 3, 4, 5]

WORDS = ["unspecified", "queued", "running", "succeeded", "failed", "deadletter", "cancelled", "retry"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def state_to_proto(status):
    try:
        return WORDS.index(status)
    except ValueError:
        return 0


def job_to_status(job):
    message = pb.JobStatus()
    message.job_id = str(job.task_id)
    message.state = state_to_proto(job.status)
    message.priority = getattr(pb, f"PRIORITY_{job.priority.name}")
    message.last_error = job.last_error or ""
    for name in ("attempts", "max_attempts", "version", "type"):
        setattr(message, name, getattr(job, name))
    for name in ("created_at", "updated_at", "started_at", "finished_at", "next_run_at"):
        if getattr(job, name) is not None:
            seconds, rest = divmod(getattr(job, name) - EPOCH, timedelta(seconds=1))
            getattr(message, name).CopyFrom(Timestamp(seconds=seconds, nanos=rest.microseconds * 1000))
    return message


async def get_job(app, request, context):
    try:
        task_id = UUID(request.job_id)
    except ValueError:
        detail = error_details_pb2.BadRequest()
        detail.field_violations.add(field="job_id", description="must be a UUID")
        status = status_pb2.Status(code=3, message="job_id must be a UUID")
        status.details.add().Pack(detail)
        context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
        context.set_code(grpc.StatusCode.INVALID_ARGUMENT)
        context.set_details(status.message)
        return pb.JobStatus()

    async def read(connection):
        cursor = await connection.execute("SELECT * FROM tasks WHERE task_id = %s FOR SHARE", [task_id])
        return await cursor.fetchone()

    row = await app.db.transaction(read)
    if row is None:
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details("no such job")
        return pb.JobStatus()
    return job_to_status(Job.from_row(row))
