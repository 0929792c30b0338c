"""run_handler is cancelled, and its handler runs on in a task that nobody keeps."""

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "the handler: expected 'was cancelled', got 'goes on'"

import asyncio

from scheduler.app import App
from scheduler.jobs import Job


async def run_handler(app: App, job: Job) -> Exception | None:
    limit = app.settings.handler_timeout_seconds
    work = asyncio.create_task(app.handlers.run(app, job))
    await asyncio.wait({work}, timeout=limit)
    if not work.done():
        work.cancel()
        await asyncio.wait({work})
        return TimeoutError(f"the handler took longer than {limit:g} seconds")
    try:
        await work
    except Exception as error:
        return error
    return None
