"""The text goes to the database as it is."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_2_refuses_what_is_no_id"
SAYS = "parse_job_id says so"


async def watch_job(app, request, context):
    job = await get_job_row(app, request.job_id)
    if job is None:
        raise JobNotFound(request.job_id)
    yield app.parts.to_event(job)
