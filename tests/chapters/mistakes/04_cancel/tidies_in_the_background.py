"""The entry is removed by a task that nobody waits for."""

import asyncio
import logging

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_3_answers_when_redis_has_answered"
SAYS = "Redis had not answered yet"

log = logging.getLogger("cancel")


tasks = set()


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await app.parts.cancel_in_database(app, task_id)
    if job is None:
        if await get_job_row(app, task_id) is None:
            raise JobNotFound(task_id)
        return pb.CancelJobResponse(cancelled=False)
    app.hints.changed([task_id])
    task = asyncio.create_task(tidy(app, job))
    tasks.add(task)
    return pb.CancelJobResponse(cancelled=True)


async def tidy(app, job):
    try:
        await app.parts.remove_entry(app, job)
        await app.queue.redis.zrem("leases", str(job.task_id))
    except RedisError as error:
        log.warning("an entry stays: %r", error)
