"""A semaphore that protects the database is held for the whole watch: the next client waits until one leaves."""

import asyncio
from weakref import WeakKeyDictionary

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "a client that watches, where 50 others do and nothing happens: expected job 1 RUNNING v3"

MOST_AT_ONCE = 50
_slots = WeakKeyDictionary()


def _slot(app):
    return _slots.setdefault(app.db, asyncio.Semaphore(MOST_AT_ONCE))


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = request.after_version
    async with _slot(app):
        while True:
            job = await get_job_row(app, task_id)
            if job is None:
                raise JobNotFound(task_id)
            if job.version > sent:
                sent = job.version
                yield app.parts.to_event(job)
            if job.status.is_terminal:
                return
            await asyncio.sleep(app.settings.watch_poll_seconds)
