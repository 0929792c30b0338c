"""After the database, the hint, the entry and the lease go side by side; bare commands; the set of what has ended."""

import asyncio
import logging

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import TERMINAL, Job, get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [1, 2, 3, 4, 5]


async def cancel_in_database(app, task_id):
    rows = await app.db.fetch_all(
        """UPDATE tasks SET (status, finished_at, updated_at, version) = ('cancelled', now(), now(), version + 1),
               pushed_at = NULL, next_run_at = NULL, lease_expires_at = NULL, worker = NULL
           WHERE task_id = %s AND NOT status = ANY(%s) RETURNING *""",
        [task_id, [str(status) for status in TERMINAL]],
    )
    return Job.from_row(rows[0]) if rows else None


async def remove_entry(app, job):
    return await app.queue.redis.execute_command(
        "LREM", app.parts.queue_name(job.priority), 0, app.parts.encode_entry(job)
    )


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await cancel_in_database(app, task_id)
    answer = pb.CancelJobResponse(cancelled=job is not None)
    if job is None and await get_job_row(app, task_id) is None:
        raise JobNotFound(task_id)
    if job is not None:
        app.hints.changed([task_id])
        outcomes = await asyncio.gather(
            remove_entry(app, job), app.queue.redis.zrem("leases", f"{task_id}"), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, RedisError):
                logging.warning("Redis: %s", type(outcome).__name__)
            elif isinstance(outcome, BaseException):
                raise outcome
    return answer
