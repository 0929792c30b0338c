from scheduler.v1 import scheduler_pb2 as pb

from workbook.loader import earlier

state_to_proto = earlier("state_to_proto")


def job_to_status(job):
    message = pb.JobStatus(
        job_id=str(job.task_id),
        state=state_to_proto(job.status),
        attempts=job.attempts,
        type=job.type,
        priority=pb.Priority.Value(f"PRIORITY_{job.priority.name}"),
        max_attempts=job.max_attempts,
        version=job.version,
    )
    if job.last_error is not None:
        message.last_error = job.last_error
    for name in ("created_at", "updated_at", "started_at", "finished_at", "next_run_at"):
        time = getattr(job, name)
        if time is not None:
            getattr(message, name).FromDatetime(time)
    return message
