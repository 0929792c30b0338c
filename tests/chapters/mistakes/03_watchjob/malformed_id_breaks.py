"""Python reads the id, and its ValueError is nobody's answer."""

from uuid import UUID

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row

TEST = "test_task_2_refuses_what_is_no_id"
SAYS = "parse_job_id says so"


async def watch_job(app, request, context):
    task_id = UUID(request.job_id)
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    yield app.parts.to_event(job)
