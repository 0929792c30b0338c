"""The refusal quotes the whole id, and its header is too long for a client."""

from uuid import UUID

import grpc
from scheduler.jobs import get_job_row

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "a text of 10,000 letters: expected 'INVALID_ARGUMENT"


async def get_job(app, request, context):
    try:
        task_id = UUID(request.job_id)
    except ValueError:
        await app.errors.invalid(context, "job_id", f"must be a UUID, not {request.job_id}")
    job = await get_job_row(app, task_id)
    if job is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no job {task_id}")
    return app.parts.job_to_status(job)
