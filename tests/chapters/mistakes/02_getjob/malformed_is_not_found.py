"""What is no id counts as an id that nobody has."""

from uuid import UUID

import grpc
from scheduler.jobs import get_job_row

TEST = "test_task_4_refuses_what_is_no_id"
SAYS = "asking again won't help"


async def get_job(app, request, context):
    try:
        job = await get_job_row(app, UUID(request.job_id))
    except ValueError:
        job = None
    if job is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such job")
    return app.parts.job_to_status(job)
