"""The status is right, and the detail is missing."""

from uuid import UUID

import grpc
from scheduler.jobs import get_job_row

TEST = "test_task_4_names_the_field_that_is_wrong"
SAYS = "app.errors.invalid(context, field, why) adds the detail"


async def get_job(app, request, context):
    try:
        task_id = UUID(request.job_id)
    except ValueError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "job_id is no UUID")
    return app.parts.job_to_status(await get_job_row(app, task_id))
