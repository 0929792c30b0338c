"""The synchronous client of Redis."""

import logging

import redis as synchronous
from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_3_leaves_the_loop_to_others_while_redis_is_slow"
SAYS = "blocks it"

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
        with synchronous.Redis(**app.settings.redis_address()) as client:
            client.lrem(app.parts.queue_name(job.priority), 0, app.parts.encode_entry(job))
            client.zrem("leases", str(task_id))
    except RedisError as error:
        log.warning("an entry stays: %r", error)
    return pb.CancelJobResponse(cancelled=True)
