"""The first look comes after the first wait."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_2_sends_the_present_state_at_once"
SAYS = "The first event comes at once"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = 0
    while True:
        await asyncio.sleep(app.settings.watch_poll_seconds)
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.version != sent:
            yield app.parts.to_event(job)
            sent = job.version
