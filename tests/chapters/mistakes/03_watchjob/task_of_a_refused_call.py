"""The poller starts before it is known whether there is such a job, and a refusal leaves it alone."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "expected nothing, got 2 tasks (tick)"


async def watch_job(app, request, context):
    due = asyncio.Event()
    ticker = asyncio.create_task(tick(app.settings.watch_poll_seconds, due))
    running.add(ticker)
    task_id = parse_job_id(request.job_id)
    seen, job = request.after_version, await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    try:
        while True:
            if job.version > seen:
                yield app.parts.to_event(job)
                seen = job.version
            if job.status.is_terminal:
                return
            due.clear()
            await due.wait()
            job = await get_job_row(app, task_id)
            if job is None:
                raise JobNotFound(task_id)
    finally:
        ticker.cancel()


running = set()


async def tick(seconds, due):
    while True:
        await asyncio.sleep(seconds)
        due.set()
