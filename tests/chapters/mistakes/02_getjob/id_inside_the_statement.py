"""Only the length of the id is looked at, and its text becomes a part of the statement."""

import grpc
from scheduler.jobs import Job

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "and your code raised InvalidTextRepresentation"


async def get_job(app, request, context):
    if len(request.job_id) < 36:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    row = await app.db.fetch_one(f"SELECT * FROM tasks WHERE task_id::text = lower('{request.job_id}')")
    if row is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such job")
    return app.parts.job_to_status(Job.from_row(row))
