from uuid import UUID

import grpc
import psycopg
from scheduler.jobs import get_job_row


async def get_job(app, request, context):
    try:
        task_id = UUID(request.job_id)
    except ValueError:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    try:
        job = await get_job_row(app, task_id)
    except psycopg.Error:
        job = None
    if job is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no job {task_id}")
    return app.parts.job_to_status(job)
