"""LREM's failure is caught, and ZREM's is not."""

import logging

from redis.exceptions import RedisError
from scheduler.jobs import parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_5_cancels_a_running_job_when_redis_refuses"
SAYS = "catch this as you catch the failure of LREM"


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await app.parts.cancel_in_database(app, task_id)
    try:
        await app.parts.remove_entry(app, job)
    except RedisError:
        logging.warning("the entry stays")
    await app.queue.redis.zrem("leases", str(task_id))
    return pb.CancelJobResponse(cancelled=True)
