"""The except is so wide that it catches the NOT_FOUND."""

from uuid import UUID

import grpc
from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row

TEST = "test_task_5_still_answers_not_found"
SAYS = "catches your own refusal"


async def get_job(app, request, context):
    try:
        job = await get_job_row(app, UUID(request.job_id))
        if job is None:
            raise JobNotFound(UUID(request.job_id))
        return app.parts.job_to_status(job)
    except Exception:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the database is away; call again")
