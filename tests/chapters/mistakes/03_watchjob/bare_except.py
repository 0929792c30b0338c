"""A bare except catches the cancellation as well."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_5_stops_looking_when_the_client_leaves"
SAYS = "do not catch that"


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
        try:
            await asyncio.sleep(app.settings.watch_poll_seconds)
        except:
            pass
