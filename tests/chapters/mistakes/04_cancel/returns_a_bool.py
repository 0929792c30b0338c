"""A bool instead of a message."""

from scheduler.jobs import parse_job_id

TEST = "test_task_3_answers_true_when_it_cancels"
SAYS = "does cancel_job return a pb.CancelJobResponse"


async def cancel_job(app, request, context):
    job = await app.parts.cancel_in_database(app, parse_job_id(request.job_id))
    return job is not None
