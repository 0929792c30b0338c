"""What was sent last is told by its time. Two changes can have one time, and a clock can go back."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = ", and your stream sent nothing more within"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = None
    while True:
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.version > request.after_version and (sent is None or job.updated_at > sent):
            yield app.parts.to_event(job)
            sent = job.updated_at
        if job.status.is_terminal:
            return
        await asyncio.sleep(app.settings.watch_poll_seconds)
