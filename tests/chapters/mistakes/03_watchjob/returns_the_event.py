"""A stream is answered with one returned value."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_2_sends_the_present_state_at_once"
SAYS = "not by return"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    return app.parts.to_event(job)
