"""A malformed id raises ValueError, and nobody catches it."""

from uuid import UUID

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row

TEST = "test_task_4_refuses_what_is_no_id"
SAYS = "the ValueError went through"


async def get_job(app, request, context):
    task_id = UUID(request.job_id)
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    return app.parts.job_to_status(job)
