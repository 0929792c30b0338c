"""Ends in good order when the client's deadline comes before the next look: with OK, as if the job had ended."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "whose deadline comes before the next look, and is not over yet: expected 'job 1 R"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = request.after_version
    pause = app.settings.watch_poll_seconds
    while True:
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.version > sent:
            sent = job.version
            yield app.parts.to_event(job)
        if job.status.is_terminal:
            return
        time_left = context.time_remaining()
        if time_left is not None and time_left <= pause:
            return  # there will be no next look: end here rather than be cut off in the middle of a sleep
        await asyncio.sleep(pause)
