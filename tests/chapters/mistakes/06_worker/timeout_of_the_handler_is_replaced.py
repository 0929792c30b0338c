"""A TimeoutError of the handler itself is told as if its time had been up."""

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "another TimeoutError, and nobody knows"

import asyncio

from scheduler.app import App
from scheduler.jobs import Job


async def run_handler(app: App, job: Job) -> Exception | None:
    limit = app.settings.handler_timeout_seconds
    try:
        async with asyncio.timeout(limit):
            await app.handlers.run(app, job)
    except TimeoutError:
        return TimeoutError(f"the handler took longer than {limit:g} seconds")
    except Exception as error:
        return error
    return None
