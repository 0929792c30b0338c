"""cancel_job looks, and then writes by the id alone: the finish is written over."""

from scheduler.jobs import get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_4_answers_false_when_a_finish_comes_first"
SAYS = "the cancel wrote over its result"


async def cancel_in_database(app, task_id):
    job = await get_job_row(app, task_id)
    if job is None or job.status.is_terminal:
        return None
    await app.db.fetch_all(
        "UPDATE tasks SET status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL, "
        "lease_expires_at = NULL, version = version + 1, updated_at = now() WHERE task_id = %s",
        [task_id],
    )
    return await get_job_row(app, task_id)


async def cancel_job(app, request, context):
    job = await cancel_in_database(app, parse_job_id(request.job_id))
    return pb.CancelJobResponse(cancelled=job is not None)
