"""The refusal is made and thrown away."""

import grpc
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_2_refuses_an_unknown_id"
SAYS = "without await"


async def watch_job(app, request, context):
    job = await get_job_row(app, parse_job_id(request.job_id))
    if job is None:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such job")
        return
    yield app.parts.to_event(job)
