"""Everything that goes wrong is INTERNAL."""

from uuid import UUID

import grpc
from scheduler.jobs import get_job_row

TEST = "test_task_5_answers_unavailable_when_the_database_is_away"
SAYS = "UNAVAILABLE says «call again»"


async def get_job(app, request, context):
    try:
        job = await get_job_row(app, UUID(request.job_id))
    except Exception:
        await context.abort(grpc.StatusCode.INTERNAL, "something went wrong")
    return app.parts.job_to_status(job)
