"""`match` for the states, and datetimes that protobuf converts by itself."""

from scheduler.jobs import Priority
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [1, 2]


def state_to_proto(status):
    match status:
        case "queued":
            return pb.JOB_STATE_QUEUED
        case "running":
            return pb.JobState.JOB_STATE_RUNNING
        case "succeeded":
            return pb.JOB_STATE_SUCCEEDED
        case "failed":
            return pb.JOB_STATE_FAILED
        case "deadletter":
            return pb.JOB_STATE_DEADLETTER
        case "cancelled":
            return pb.JOB_STATE_CANCELLED
        case "retry":
            return pb.JOB_STATE_RETRY
    return 0


def job_to_status(job):
    return pb.JobStatus(
        job_id=f"{job.task_id}",
        state=state_to_proto(job.status),
        attempts=job.attempts,
        last_error=job.last_error,
        created_at=job.created_at,
        updated_at=job.updated_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        type=job.type,
        priority=list(Priority).index(job.priority) + 1,
        max_attempts=job.max_attempts,
        next_run_at=job.next_run_at,
        version=job.version,
    )
