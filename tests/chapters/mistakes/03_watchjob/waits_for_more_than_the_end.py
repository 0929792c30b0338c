"""SQL gives only what is newer, so a job that ends with a version which the client knows never ends its stream."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import Job, get_job_row, parse_job_id

TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "expected the end, with OK, and your stream sent nothing more"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    while True:
        if job.version > seen:
            yield app.parts.to_event(job)
            seen = job.version
        if job.status.is_terminal:
            return
        job = await newer(app, task_id, seen)


async def newer(app, task_id, seen):
    while True:
        await asyncio.sleep(app.settings.watch_poll_seconds)
        rows = await app.db.fetch_all("SELECT * FROM tasks WHERE task_id = %s", [task_id])
        if not rows:
            raise JobNotFound(task_id)
        if rows[0]["version"] > seen:
            return Job.from_row(rows[0])
