"""Looks follow a timetable by a clock that was fetched once; the missed ones are made up for in one burst."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "stands still for 20 times watch_poll_seconds: expected 'one look, or two', got 'many looks at once'"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = request.after_version
    clock = asyncio.get_running_loop().time
    next_look = clock()
    while True:
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.version > sent:
            sent = job.version
            yield app.parts.to_event(job)
        if job.status.is_terminal:
            return
        # A plain sleep would drift by the time that each query takes.
        next_look += app.settings.watch_poll_seconds
        await asyncio.sleep(max(0.0, next_look - clock()))
