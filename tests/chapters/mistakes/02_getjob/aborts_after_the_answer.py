"""An except that is too wide catches the abort of NOT_FOUND, and aborts once more after the answer is sent."""

from uuid import UUID

import grpc
from scheduler.jobs import get_job_row

TEST = "test_task_4_answers_not_found_for_an_id_that_nobody_has"
SAYS = "abort raises, to end the call"


async def get_job(app, request, context):
    try:
        job = await get_job_row(app, UUID(request.job_id))
        if job is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such job")
        return app.parts.job_to_status(job)
    except Exception:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the database is away; call again")
