"""An error that is not there is put into the message."""

from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_1_says_in_words_what_has_happened"
SAYS = "nobody wants to read None"


def to_event(job):
    return pb.JobEvent(
        job_id=str(job.task_id),
        state=f"JOB_STATE_{job.status.name}",
        message=f"{job.status}: {job.last_error}",
        timestamp=job.updated_at,
        attempts=job.attempts,
        version=job.version,
    )
