"""The id goes to the database as text."""

import grpc
from scheduler.jobs import get_job_row

TEST = "test_task_4_refuses_what_is_no_id"
SAYS = "Make a UUID of it first"


async def get_job(app, request, context):
    job = await get_job_row(app, request.job_id)
    if job is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such job")
    return app.parts.job_to_status(job)
