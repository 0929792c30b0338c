"""A mapping of one's own, and a KeyError that escapes."""

import asyncio

from scheduler.worker.handlers import noop, sleep

TEST = "test_task_3_counts_an_unknown_type_as_permanent"
SAYS = "raised KeyError"

HANDLERS = {"noop": noop, "sleep": sleep}


async def run_handler(app, job):
    handler = HANDLERS[job.type]
    try:
        async with asyncio.timeout(app.settings.handler_timeout_seconds):
            await handler(app, job)
    except Exception as error:
        return error
