"""A malformed id raises ValueError, which nobody turns into a status."""

from uuid import UUID

from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_3_refuses_a_malformed_id"
SAYS = "parse_job_id refuses it"


async def cancel_job(app, request, context):
    job = await app.parts.cancel_in_database(app, UUID(request.job_id))
    return pb.CancelJobResponse(cancelled=job is not None)
