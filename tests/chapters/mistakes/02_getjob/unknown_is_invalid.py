"""An unknown job counts as a wrong request."""

from uuid import UUID

from scheduler.jobs import get_job_row

TEST = "test_task_4_answers_not_found_for_an_id_that_nobody_has"
SAYS = "the id has the right form, only nobody has it"


async def get_job(app, request, context):
    job = await get_job_row(app, UUID(request.job_id))
    if job is None:
        await app.errors.invalid(context, "job_id", "must be the id of a job")
    return app.parts.job_to_status(job)
