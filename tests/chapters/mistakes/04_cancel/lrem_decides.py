"""The number that LREM gives is the answer."""

from scheduler.jobs import parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_4_answers_true_when_a_worker_has_the_entry_already"
SAYS = "LREM's number does not"


async def cancel_job(app, request, context):
    job = await app.parts.cancel_in_database(app, parse_job_id(request.job_id))
    removed = await app.parts.remove_entry(app, job)
    return pb.CancelJobResponse(cancelled=removed > 0 or job.attempts > 0)
