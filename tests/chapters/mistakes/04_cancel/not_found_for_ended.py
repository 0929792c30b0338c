"""None from the database means NOT_FOUND, whatever the reason."""

from scheduler.errors import JobNotFound
from scheduler.jobs import parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_3_answers_false_when_the_job_has_ended"
SAYS = "it is there, so the answer is false"


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await app.parts.cancel_in_database(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    await app.parts.remove_entry(app, job)
    return pb.CancelJobResponse(cancelled=True)
