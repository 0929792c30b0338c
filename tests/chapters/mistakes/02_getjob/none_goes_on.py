"""Nobody asks whether there was a row."""

from uuid import UUID

from scheduler.jobs import get_job_row

TEST = "test_task_4_answers_not_found_for_an_id_that_nobody_has"
SAYS = "get_job_row answered None"


async def get_job(app, request, context):
    return app.parts.job_to_status(await get_job_row(app, UUID(request.job_id)))
