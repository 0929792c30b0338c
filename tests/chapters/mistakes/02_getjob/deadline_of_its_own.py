"""A deadline of its own, whose TimeoutError is none of psycopg's."""

import asyncio
from uuid import UUID

import grpc
from scheduler.jobs import get_job_row

TEST = "test_task_5_answers_unavailable_when_the_database_is_away"
SAYS = "get_job raised builtins.TimeoutError"


async def get_job(app, request, context):
    try:
        task_id = UUID(request.job_id)
    except ValueError:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    async with asyncio.timeout(0.25):
        job = await get_job_row(app, task_id)
    if job is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no job {task_id}")
    return app.parts.job_to_status(job)
