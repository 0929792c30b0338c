"""The version that was seen is sent again."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_6_does_not_send_again_what_was_seen"
SAYS = "send only what is newer"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version
    while True:
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.version >= seen:
            yield app.parts.to_event(job)
            seen = job.version + 1
        if job.status.is_terminal:
            return
        await asyncio.sleep(app.settings.watch_poll_seconds)
