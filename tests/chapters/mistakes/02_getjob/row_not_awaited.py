"""get_job_row is never awaited."""

from uuid import UUID

from scheduler.jobs import get_job_row

TEST = "test_task_3_answers_with_the_job_of_this_id"
SAYS = "nobody awaits it"


async def get_job(app, request, context):
    job = get_job_row(app, UUID(request.job_id))
    return app.parts.job_to_status(job)
