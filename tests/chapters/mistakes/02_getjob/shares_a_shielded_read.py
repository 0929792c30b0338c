"""Calls at once share one read, which nobody ends; who comes late is told of the past."""

import asyncio
from uuid import UUID

import grpc
from scheduler.jobs import get_job_row

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "state: expected 'JOB_STATE_RUNNING', got 'JOB_STATE_QUEUED'"

_reads = {}


async def get_job(app, request, context):
    try:
        task_id = UUID(request.job_id)
    except ValueError:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    if (read := _reads.get(task_id)) is None:
        read = _reads[task_id] = asyncio.ensure_future(get_job_row(app, task_id))
        read.add_done_callback(lambda _: _reads.pop(task_id, None))
    job = await asyncio.shield(read)
    if job is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no job {task_id}")
    return app.parts.job_to_status(job)
