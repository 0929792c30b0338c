"""The entry goes before the database is asked."""

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_3_touches_redis_only_after_the_database"
SAYS = "write to the database first"


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    await app.parts.remove_entry(app, job)
    job = await app.parts.cancel_in_database(app, task_id)
    app.hints.changed([task_id])
    return pb.CancelJobResponse(cancelled=job is not None)
