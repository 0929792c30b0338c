"""The interval is not that of the settings."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_3_looks_as_often_as_the_settings_say"
SAYS = "app.settings.watch_poll_seconds is 0.02"


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
