"""An id has to be spelt as str(UUID) spells it."""

from uuid import UUID

import grpc
from scheduler.jobs import get_job_row

TEST = "test_task_3_takes_an_id_in_upper_case"
SAYS = "upper case is allowed"


async def get_job(app, request, context):
    try:
        task_id = UUID(request.job_id)
    except ValueError:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    if str(task_id) != request.job_id:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    job = await get_job_row(app, task_id)
    if job is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no job {task_id}")
    return app.parts.job_to_status(job)
