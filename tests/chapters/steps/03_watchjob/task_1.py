from scheduler.jobs import Status
from scheduler.v1 import scheduler_pb2 as pb

WORDS = {
    Status.QUEUED: "waits in the queue",
    Status.RUNNING: "runs",
    Status.SUCCEEDED: "has succeeded",
    Status.CANCELLED: "was cancelled",
}


def to_event(job):
    return pb.JobEvent(
        job_id=str(job.task_id),
        state=f"JOB_STATE_{job.status.name}",
        message=WORDS.get(job.status) or f"{job.status}: {job.last_error}",
        timestamp=job.updated_at,
        attempts=job.attempts,
        version=job.version,
    )
