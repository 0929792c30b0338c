"""The UPDATE asks for the one status that was seen; a claim in between makes it miss."""

from scheduler.jobs import Job, get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_4_cancels_a_job_that_a_worker_claims_first"
SAYS = "do not ask for the one status that you saw"


async def cancel_in_database(app, task_id):
    job = await get_job_row(app, task_id)
    if job is None or job.status.is_terminal:
        return None
    row = await app.db.fetch_one(
        "UPDATE tasks SET status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL, "
        "lease_expires_at = NULL, version = version + 1, updated_at = now() "
        "WHERE task_id = %s AND status = %s RETURNING *",
        [task_id, job.status],
    )
    return Job.from_row(row) if row else None


async def cancel_job(app, request, context):
    job = await cancel_in_database(app, parse_job_id(request.job_id))
    return pb.CancelJobResponse(cancelled=job is not None)
