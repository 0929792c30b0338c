"""One transaction that locks the row, looks at it in Python, and writes by its id; the entry goes in a pipeline."""

import logging

import grpc
from redis.exceptions import RedisError
from scheduler.jobs import Job, get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [1, 2, 3, 4, 5]


async def cancel_in_database(app, task_id):
    async def work(connection):
        cursor = await connection.execute("SELECT status FROM tasks WHERE task_id = %s FOR UPDATE", [task_id])
        row = await cursor.fetchone()
        if row is None or row["status"] in ("succeeded", "failed", "deadletter", "cancelled"):
            return None
        await connection.execute(
            "UPDATE tasks SET status = 'cancelled', finished_at = now(), version = version + 1, "
            "updated_at = now(), pushed_at = NULL, next_run_at = NULL, lease_expires_at = NULL WHERE task_id = %s",
            [task_id],
        )
        cursor = await connection.execute("SELECT * FROM tasks WHERE task_id = %s", [task_id])
        return Job.from_row(await cursor.fetchone())

    return await app.db.transaction(work)


async def remove_entry(app, job):
    async with app.queue.redis.pipeline() as pipe:
        pipe.lrem(app.parts.queue_name(job.priority), 0, app.parts.encode_entry(job))
        [removed] = await pipe.execute()
    return removed


async def cancel_job(app, request, context):
    try:
        task_id = parse_job_id(request.job_id)
    except Exception:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    if await get_job_row(app, task_id) is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such job")
    job = await cancel_in_database(app, task_id)
    if job is not None:
        app.hints.changed([task_id])
        app.hints.released([task_id])
        try:
            await remove_entry(app, job)
        except RedisError as error:
            logging.error("the entry of %s stays: %s", task_id, type(error).__name__)
    return pb.CancelJobResponse(cancelled=job is not None)
