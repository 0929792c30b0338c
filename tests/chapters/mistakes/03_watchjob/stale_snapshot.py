"""The row is read once, and looked at for ever."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_3_sends_each_change"
SAYS = "read it anew"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    sent = 0
    while not (job.status.is_terminal and sent == job.version):
        if job.version != sent:
            yield app.parts.to_event(job)
            sent = job.version
        await asyncio.sleep(app.settings.watch_poll_seconds)
