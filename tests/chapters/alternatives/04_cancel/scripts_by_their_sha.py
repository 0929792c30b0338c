"""Scripts that are called by their SHA, and loaded again whenever Redis does not know them."""

import logging

from redis.exceptions import NoScriptError, RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [2, 3, 5]

log = logging.getLogger("cancel")
REMOVE = "return redis.call('LREM', KEYS[1], 0, ARGV[1])"
RELEASE = "return redis.call('ZREM', KEYS[1], ARGV[1])"
sha = None


async def remove_entry(app, job):
    global sha
    redis, name, entry = app.queue.redis, app.parts.queue_name(job.priority), app.parts.encode_entry(job)
    if sha is None:
        sha = await redis.script_load(REMOVE)
    try:
        return await redis.evalsha(sha, 1, name, entry)
    except NoScriptError:
        return await redis.eval(REMOVE, 1, name, entry)


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await app.parts.cancel_in_database(app, task_id)
    if job is None:
        if await get_job_row(app, task_id) is None:
            raise JobNotFound(task_id)
        return pb.CancelJobResponse(cancelled=False)
    app.hints.changed([task_id])
    try:
        await remove_entry(app, job)
        async with app.queue.redis.pipeline() as pipe:  # asks with SCRIPT EXISTS what it must load
            await pipe.register_script(RELEASE)(keys=["leases"], args=[str(task_id)], client=pipe)
            await pipe.execute()
    except RedisError as error:
        log.warning("entry or lease stay: %r", error)
    return pb.CancelJobResponse(cancelled=True)
