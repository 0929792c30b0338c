"""The id is read as one of version 4, and an id of another version becomes another id."""

from uuid import UUID

import grpc
from scheduler.jobs import get_job_row

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "which is the id of a queued job"


async def get_job(app, request, context):
    try:
        task_id = UUID(request.job_id, version=4)
    except ValueError:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    job = await get_job_row(app, task_id)
    if job is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such job")
    return app.parts.job_to_status(job)
