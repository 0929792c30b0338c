"""Streams share each row for an interval, and so does a client that has just come: it is told what was."""

import asyncio
from weakref import WeakKeyDictionary

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = (
    "the first of a client that comes after a change, while another client watches: expected 'job 1 RETRY v4"
)

_recent = WeakKeyDictionary()


async def _look(app, task_id):
    """The row, read at most once in an interval, however many watch it."""
    recent = _recent.setdefault(app.db, {})
    job = recent.get(task_id)
    if job is None:
        job = await get_job_row(app, task_id)
        if job is not None:
            recent[task_id] = job
            asyncio.get_running_loop().call_later(app.settings.watch_poll_seconds, recent.pop, task_id, None)
    return job


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = request.after_version
    while True:
        job = await _look(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.version > sent:
            sent = job.version
            yield app.parts.to_event(job)
        if job.status.is_terminal:
            return
        await asyncio.sleep(app.settings.watch_poll_seconds)
