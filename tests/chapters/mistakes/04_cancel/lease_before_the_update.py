"""The lease goes before the database is asked."""

from scheduler.jobs import parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_5_keeps_the_lease_until_the_database_has_said_yes"
SAYS = "ZREM after the UPDATE"


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    await app.queue.redis.zrem("leases", str(task_id))
    job = await app.parts.cancel_in_database(app, task_id)
    await app.parts.remove_entry(app, job)
    return pb.CancelJobResponse(cancelled=True)
