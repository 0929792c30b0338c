"""ZREM is given the entry, and the members are ids."""

from scheduler.jobs import parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_5_removes_the_lease"
SAYS = "its lease is still in the sorted set"


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await app.parts.cancel_in_database(app, task_id)
    await app.parts.remove_entry(app, job)
    await app.queue.redis.zrem("leases", app.parts.encode_entry(job))
    return pb.CancelJobResponse(cancelled=True)
