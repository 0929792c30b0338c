"""Two generators: one gives the rows, look by look; the other makes events of those that are news."""

import asyncio
from contextlib import aclosing

import grpc
from scheduler.jobs import TERMINAL, get_job_row, parse_job_id

TASKS = [2, 3, 4, 5, 6]


async def looks(app, task_id):
    clock = asyncio.get_running_loop()
    due = clock.time()
    while True:
        yield await get_job_row(app, task_id)
        due = max(
            due + app.settings.watch_poll_seconds, clock.time()
        )  # what a pause has swallowed is not made up for
        await asyncio.sleep(due - clock.time())


async def watch_job(app, request, context):
    seen = request.after_version
    async with aclosing(looks(app, parse_job_id(request.job_id))) as rows:
        async for job in rows:
            if job is None:
                await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such job")
            if seen < job.version:
                seen = job.version
                yield app.parts.to_event(job)
            if job.status in TERMINAL:
                break
