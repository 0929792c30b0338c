"""One statement with a CTE answers whether the job is there and whether it was cancelled; Redis runs a script."""

import logging

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import Job, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [2, 3, 4, 5]

SQL = """
    WITH done AS (
        UPDATE tasks SET status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL,
            lease_expires_at = NULL, version = version + 1, updated_at = now()
        WHERE task_id = %s AND finished_at IS NULL
        RETURNING *
    )
    SELECT true AS known, done.* FROM done
    UNION ALL
    SELECT false, tasks.* FROM tasks WHERE task_id = %s AND NOT EXISTS (SELECT 1 FROM done)
"""
TIDY = "redis.call('ZREM', KEYS[2], ARGV[2]) return redis.call('LREM', KEYS[1], 0, ARGV[1])"


async def remove_entry(app, job):
    name, entry = app.parts.queue_name(job.priority), app.parts.encode_entry(job)
    return await app.queue.redis.eval(TIDY, 2, name, "leases", entry, str(job.task_id))


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    row = await app.db.fetch_one(SQL, [task_id, task_id])
    if row is None:
        raise JobNotFound(task_id)
    if not row["known"]:
        return pb.CancelJobResponse(cancelled=False)
    app.hints.changed([task_id])
    try:
        await remove_entry(app, Job.from_row(row))
    except RedisError as error:
        logging.getLogger("cancel").warning("not tidied up: %s", error.__class__.__name__)
    return pb.CancelJobResponse(cancelled=True)
