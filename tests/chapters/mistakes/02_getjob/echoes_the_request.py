"""The id is answered as it was asked."""

from uuid import UUID

from scheduler.jobs import get_job_row

TEST = "test_task_3_takes_an_id_in_upper_case"
SAYS = "answered in lower case"


async def get_job(app, request, context):
    message = app.parts.job_to_status(await get_job_row(app, UUID(request.job_id)))
    message.job_id = request.job_id
    return message
