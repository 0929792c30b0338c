from uuid import UUID

import grpc
from scheduler.jobs import get_job_row


async def get_job(app, request, context):
    try:
        job = await get_job_row(app, UUID(request.job_id))
    except Exception:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    if job is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no job {request.job_id}")
    return app.parts.job_to_status(job)
