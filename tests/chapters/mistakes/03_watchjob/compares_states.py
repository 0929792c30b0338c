"""States are compared, not versions."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_3_tells_one_attempt_from_the_next"
SAYS = "the version tells, the state does not"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = None
    while True:
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.status != sent:
            yield app.parts.to_event(job)
            sent = job.status
        if job.status.is_terminal:
            return
        await asyncio.sleep(app.settings.watch_poll_seconds)
