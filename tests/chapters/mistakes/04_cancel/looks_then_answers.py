"""The answer is what it saw before the UPDATE."""

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_4_answers_false_when_a_finish_comes_first"
SAYS = "what you saw before the UPDATE is old"


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    if job.status.is_terminal:
        return pb.CancelJobResponse(cancelled=False)
    await app.parts.cancel_in_database(app, task_id)
    await app.parts.remove_entry(app, job)
    return pb.CancelJobResponse(cancelled=True)
