"""Nobody asks whether there is a row."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_2_refuses_an_unknown_id"
SAYS = "raise JobNotFound"


async def watch_job(app, request, context):
    job = await get_job_row(app, parse_job_id(request.job_id))
    sent = job.version
    yield app.parts.to_event(job)
