"""Running out of time counts as success."""

import asyncio
from contextlib import suppress

TEST = "test_task_3_ends_a_handler_that_takes_too_long"
SAYS = "which means success"


async def run_handler(app, job):
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(app.settings.handler_timeout_seconds):
                await app.handlers.run(app, job)
    except Exception as error:
        return error
