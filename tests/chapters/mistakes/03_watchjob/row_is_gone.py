"""Only the first look asks whether there is a row."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_4_ends_when_the_row_is_gone"
SAYS = "not only the first"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    sent = 0
    while True:
        if job.version != sent:
            yield app.parts.to_event(job)
            sent = job.version
        if job.status.is_terminal:
            return
        await asyncio.sleep(app.settings.watch_poll_seconds)
        job = await get_job_row(app, task_id)
