"""abort is a coroutine, and nobody awaits it."""

from uuid import UUID

import grpc
from scheduler.jobs import get_job_row
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_4_answers_not_found_for_an_id_that_nobody_has"
SAYS = "without await"


async def get_job(app, request, context):
    job = await get_job_row(app, UUID(request.job_id))
    if job is None:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such job")
        return pb.JobStatus()
    return app.parts.job_to_status(job)
