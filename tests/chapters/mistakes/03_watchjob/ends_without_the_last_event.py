"""The loop ends before the last event is sent."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_4_sends_the_last_event_and_ends"
SAYS = "never learns how the job ended"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = 0
    while True:
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.status.is_terminal:
            return
        if job.version != sent:
            yield app.parts.to_event(job)
            sent = job.version
        await asyncio.sleep(app.settings.watch_poll_seconds)
