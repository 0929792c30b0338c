"""The lease's member is the id as the client wrote it, in upper case say."""

import logging

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "leases: expected ['of another job'], got ['job 1', 'of another job']"

log = logging.getLogger("cancel")


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await app.parts.cancel_in_database(app, task_id)
    if job is None:
        if await get_job_row(app, task_id) is None:
            raise JobNotFound(task_id)
        return pb.CancelJobResponse(cancelled=False)
    app.hints.changed([task_id])
    try:
        await app.parts.remove_entry(app, job)
        await app.queue.redis.zrem("leases", request.job_id)
    except RedisError as error:
        log.warning("an entry stays: %r", error)
    return pb.CancelJobResponse(cancelled=True)
