"""The interval is not that of the settings."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "0.5 times watch_poll_seconds: expected 'no look', got 'a look before it was due'"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = 0
    while True:
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.version != sent:
            yield app.parts.to_event(job)
            sent = job.version
        if job.status.is_terminal:
            return
        await asyncio.sleep(1)
