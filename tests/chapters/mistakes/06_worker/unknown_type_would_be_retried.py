"""A KeyError is returned, and would be tried again."""

import asyncio

from scheduler.worker.handlers import noop, sleep

TEST = "test_task_3_counts_an_unknown_type_as_permanent"
SAYS = "so it would be tried again"

HANDLERS = {"noop": noop, "sleep": sleep}


async def run_handler(app, job):
    try:
        async with asyncio.timeout(app.settings.handler_timeout_seconds):
            await HANDLERS[job.type](app, job)
    except Exception as error:
        return error
