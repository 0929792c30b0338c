from uuid import UUID

from scheduler.jobs import get_job_row


async def get_job(app, request, context):
    job = await get_job_row(app, UUID(request.job_id))
    return app.parts.job_to_status(job)
