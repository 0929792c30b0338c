"""The next version is taken for one that was seen."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_6_sends_at_once_what_was_missed"
SAYS = "that is one newer, so send it"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version + 1 if request.after_version else 0
    while True:
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.version > seen:
            yield app.parts.to_event(job)
            seen = job.version
        if job.status.is_terminal:
            return
        await asyncio.sleep(app.settings.watch_poll_seconds)
