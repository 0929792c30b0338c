"""The row itself is returned."""

from uuid import UUID

from scheduler.jobs import get_job_row

TEST = "test_task_3_answers_with_the_job_of_this_id"
SAYS = "return what job_to_status gives"


async def get_job(app, request, context):
    return await get_job_row(app, UUID(request.job_id))
