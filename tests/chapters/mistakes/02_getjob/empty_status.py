"""A job that nobody has is answered with an empty message."""

from uuid import UUID

from scheduler.jobs import get_job_row
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_4_answers_not_found_for_an_id_that_nobody_has"
SAYS = "OK and an empty JobStatus"


async def get_job(app, request, context):
    job = await get_job_row(app, UUID(request.job_id))
    return app.parts.job_to_status(job) if job else pb.JobStatus()
