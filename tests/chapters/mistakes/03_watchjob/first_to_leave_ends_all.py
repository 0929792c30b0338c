"""One poller serves all watchers of a job, and the first to leave ends it."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_5_leaves_the_other_watchers_alone"
SAYS = "the other hears nothing more"


pollers = {}


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    mine = asyncio.Queue()
    if task_id not in pollers:
        queues = []
        pollers[task_id] = (asyncio.create_task(look(app, job, queues)), queues)
    task, queues = pollers[task_id]
    queues.append(mine)
    try:
        yield app.parts.to_event(job)
        while not job.status.is_terminal:
            job = await mine.get()
            yield app.parts.to_event(job)
    finally:
        task.cancel()
        pollers.pop(task_id, None)


async def look(app, job, queues):
    while not job.status.is_terminal:
        await asyncio.sleep(app.settings.watch_poll_seconds)
        newer = await get_job_row(app, job.task_id)
        if newer.version != job.version:
            job = newer
            for queue in queues:
                queue.put_nowait(job)
