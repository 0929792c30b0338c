"""A poller in a TaskGroup raises JobNotFound, and the group makes an ExceptionGroup of it."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_4_ends_when_the_row_is_gone"
SAYS = "expected NOT_FOUND, and your code raised JobNotFound within ExceptionGroup"


async def _look(app, task_id):
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    return job


class _Newest:
    """The newest row that was seen, and a bell for it. Nothing piles up."""

    def __init__(self, job):
        self.job = job
        self.bell = asyncio.Event()
        self.bell.set()


async def _poll(app, task_id, newest):
    while True:
        await asyncio.sleep(app.settings.watch_poll_seconds)
        newest.job = await _look(app, task_id)
        newest.bell.set()


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = request.after_version
    newest = _Newest(await _look(app, task_id))
    async with asyncio.TaskGroup() as group:
        poller = group.create_task(_poll(app, task_id, newest))
        try:
            while True:
                await newest.bell.wait()
                newest.bell.clear()
                job = newest.job
                if job.version > sent:
                    sent = job.version
                    yield app.parts.to_event(job)
                if job.status.is_terminal:
                    return
        finally:
            poller.cancel()
