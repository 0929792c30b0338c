"""Refusals are aborts; SELECT FOR UPDATE of one transaction tells unknown from ended."""

import logging

import grpc
from redis.exceptions import RedisError
from scheduler.jobs import Job, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [3, 4, 5]

log = logging.getLogger("cancel")
SET = "status = 'cancelled', finished_at = now(), pushed_at = NULL, next_run_at = NULL, lease_expires_at = NULL, updated_at = now()"


async def cancel_job(app, request, context):
    task_id = parse_job_id(request.job_id)

    async def work(connection):
        cursor = await connection.execute(
            "SELECT finished_at FROM tasks WHERE task_id = %s FOR UPDATE", [task_id]
        )
        seen = await cursor.fetchone()
        if seen is None or seen["finished_at"] is not None:
            return seen, None
        cursor = await connection.execute(
            f"UPDATE tasks SET {SET}, version = version + 1 WHERE task_id = %s RETURNING *", [task_id]
        )
        return seen, await cursor.fetchone()

    seen, row = await app.db.transaction(work)
    if seen is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "never heard of it")
    if row is not None:
        job = Job.from_row(row)
        app.hints.changed([task_id])
        for step in (app.parts.remove_entry(app, job), app.queue.redis.zrem("leases", str(task_id))):
            try:
                await step
            except RedisError as error:
                log.warning("%r", error)
    return pb.CancelJobResponse(cancelled=row is not None)
