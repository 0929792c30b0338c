"""Each look is sent."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_3_sends_nothing_while_the_job_stays_as_it_is"
SAYS = "only when the version has risen"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)

    while True:
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        yield app.parts.to_event(job)
        if job.status.is_terminal:
            return
        await asyncio.sleep(app.settings.watch_poll_seconds)
