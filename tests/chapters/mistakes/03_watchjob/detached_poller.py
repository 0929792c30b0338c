"""A task of its own looks on when the client has left."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_5_stops_looking_when_the_client_leaves"
SAYS = "do not let anything run on"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    found = asyncio.Queue()
    tasks.append(asyncio.create_task(look(app, task_id, found)))
    sent = 0
    while True:
        job = await found.get()
        if job is None:
            raise JobNotFound(task_id)
        if job.version != sent:
            yield app.parts.to_event(job)
            sent = job.version
        if job.status.is_terminal:
            return


async def look(app, task_id, found):
    while True:
        job = await get_job_row(app, task_id)
        await found.put(job)
        if job is None or job.status.is_terminal:
            return
        await asyncio.sleep(app.settings.watch_poll_seconds)


tasks = []
