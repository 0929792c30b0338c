"""A mailbox that a slow client lets fill up takes no newer row: the end is among what is dropped."""

import asyncio
from collections import deque

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "that took no event during 12 changes, the last to succeeded, and goes on then: expected 'job 1 SUCCEEDED v15"

MOST_WAITING = 4


async def _poll(app, task_id, seen, waiting, bell):
    while True:
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.version > seen:
            seen = job.version
            if len(waiting) < MOST_WAITING:  # a slow client skips states: nothing may grow without end
                waiting.append(job)
                bell.set()
        if job.status.is_terminal:
            return
        await asyncio.sleep(app.settings.watch_poll_seconds)


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    waiting = deque()
    bell = asyncio.Event()
    poller = asyncio.create_task(_poll(app, task_id, request.after_version, waiting, bell))
    poller.add_done_callback(lambda _: bell.set())
    try:
        while True:
            while waiting:
                yield app.parts.to_event(waiting.popleft())
            if poller.done():
                poller.result()  # raises what the poller raised
                return
            bell.clear()
            await bell.wait()
    finally:
        poller.cancel()
        await asyncio.wait([poller])
