"""A ticker that makes up for each tick that it missed: after a pause it looks and looks."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "stands still for 20 times watch_poll_seconds: expected 'one look, or two', got 'many looks at once'"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    seen = request.after_version
    clock = asyncio.get_running_loop()
    due = clock.time()
    while True:
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.version > seen:
            yield app.parts.to_event(job)
            seen = job.version
        if job.status.is_terminal:
            return
        due += app.settings.watch_poll_seconds
        await asyncio.sleep(max(0, due - clock.time()))
