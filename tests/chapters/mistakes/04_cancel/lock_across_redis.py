"""The row stays locked while Redis is asked."""

from scheduler.jobs import Job, parse_job_id
from scheduler.api import cancel_job as reference
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_4_lets_no_claim_through_while_redis_is_slow"
SAYS = "a transaction stays open across a call to Redis"


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)

    async def work(connection):
        cursor = await connection.execute(reference.CANCEL, [task_id])
        row = await cursor.fetchone()
        if row is not None:
            await app.parts.remove_entry(app, Job.from_row(row))
        return row is not None

    return pb.CancelJobResponse(cancelled=await app.db.transaction(work))
