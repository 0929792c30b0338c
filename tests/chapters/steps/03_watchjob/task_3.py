"""A task of its own looks, and the stream sends what it finds. It goes on when the job has ended, or the client gone."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

running = set()


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    found = asyncio.Queue()
    poller = asyncio.create_task(look(app, task_id, found))
    running.add(poller)
    poller.add_done_callback(running.discard)
    sent = 0
    while True:
        job = await found.get()
        if job is None:
            raise JobNotFound(task_id)
        if job.version != sent:
            yield app.parts.to_event(job)
            sent = job.version


async def look(app, task_id, found):
    while True:
        job = await get_job_row(app, task_id)
        await found.put(job)
        if job is None:
            return
        await asyncio.sleep(app.settings.watch_poll_seconds)
