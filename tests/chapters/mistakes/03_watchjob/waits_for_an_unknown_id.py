"""The watch waits until the job may come to exist."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_2_refuses_an_unknown_id"
SAYS = "did not end"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    while True:
        job = await get_job_row(app, task_id)
        if job is not None:
            yield app.parts.to_event(job)
        await asyncio.sleep(app.settings.watch_poll_seconds)
