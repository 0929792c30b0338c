"""The streams of a job look under one lock, held at the yield, too: a client that does not read stops the others."""

import asyncio
from weakref import WeakValueDictionary

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "where another client of the job has taken one event and does not take the next: expected job 1 RUNNING v3"

_locks = WeakValueDictionary()


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = request.after_version
    # A popular job is not asked for by hundreds at the same moment, but by one at a time.
    lock = _locks.setdefault((id(app.db), task_id), asyncio.Lock())
    while True:
        async with lock:
            job = await get_job_row(app, task_id)
            if job is None:
                raise JobNotFound(task_id)
            if job.version > sent:
                sent = job.version
                yield app.parts.to_event(job)
            if job.status.is_terminal:
                return
        await asyncio.sleep(app.settings.watch_poll_seconds)
