"""A job that nobody has is answered with None."""

from uuid import UUID

from scheduler.jobs import get_job_row

TEST = "test_task_4_answers_not_found_for_an_id_that_nobody_has"
SAYS = "gRPC can't send nothing"


async def get_job(app, request, context):
    job = await get_job_row(app, UUID(request.job_id))
    return app.parts.job_to_status(job) if job else None
