"""A job that had ended before is waited for."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_4_ends_at_once_when_the_job_had_ended_before"
SAYS = "nothing can follow, so return"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    yield app.parts.to_event(job)
    sent = job.version
    while True:
        await asyncio.sleep(app.settings.watch_poll_seconds)
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.version != sent:
            yield app.parts.to_event(job)
            sent = job.version
            if job.status.is_terminal:
                return
