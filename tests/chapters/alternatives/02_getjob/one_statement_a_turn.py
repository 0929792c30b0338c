"""Calls that come in one turn of the loop share a statement that begins after all of them; whoever leaves disturbs nobody."""

import asyncio
from uuid import UUID
from weakref import WeakKeyDictionary

import grpc
from scheduler.jobs import COLUMNS, Job

TASKS = [3, 4, 5]

SQL = f"SELECT {COLUMNS} FROM tasks WHERE task_id = ANY(%s::uuid[])"
_batches = WeakKeyDictionary()


async def get_job(app, request, context):
    try:
        task_id = UUID(request.job_id)
    except ValueError:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    batch = _batches.setdefault(app.db, [])
    job = asyncio.get_running_loop().create_future()
    batch.append((task_id, job))
    if len(batch) == 1:
        app.begin(_read(app))
    if await job is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such job")
    return app.parts.job_to_status(job.result())


async def _read(app):
    await asyncio.sleep(0)
    batch = _batches.pop(app.db)
    try:
        rows = await app.db.fetch_all(SQL, [list({task_id for task_id, _ in batch})])
        jobs = {row["task_id"]: Job.from_row(row) for row in rows}
    except Exception as error:
        for _, job in batch:
            if not job.done():
                job.set_exception(error)
        return
    for task_id, job in batch:
        if not job.done():
            job.set_result(jobs.get(task_id))
