"""The fields are copied once more, and some are forgotten."""

from uuid import UUID

from scheduler.jobs import get_job_row
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_3_answers_with_all_that_is_known_of_a_job"
SAYS = "do not copy the fields anew"


async def get_job(app, request, context):
    job = await get_job_row(app, UUID(request.job_id))
    return pb.JobStatus(
        job_id=str(job.task_id),
        state=app.parts.state_to_proto(job.status),
        attempts=job.attempts,
        last_error=job.last_error or "",
        created_at=job.created_at,
        updated_at=job.updated_at,
    )
