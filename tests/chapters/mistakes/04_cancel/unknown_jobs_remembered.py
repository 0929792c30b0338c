"""What was not found is remembered."""

import logging

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "then somebody submits job 1"

log = logging.getLogger("cancel")


unknown = set()


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    if task_id in unknown:
        raise JobNotFound(task_id)
    job = await app.parts.cancel_in_database(app, task_id)
    if job is None:
        if await get_job_row(app, task_id) is None:
            unknown.add(task_id)
            raise JobNotFound(task_id)
        return pb.CancelJobResponse(cancelled=False)
    app.hints.changed([task_id])
    try:
        await app.parts.remove_entry(app, job)
        await app.queue.redis.zrem("leases", str(task_id))
    except RedisError as error:
        log.warning("an entry stays: %r", error)
    return pb.CancelJobResponse(cancelled=True)
