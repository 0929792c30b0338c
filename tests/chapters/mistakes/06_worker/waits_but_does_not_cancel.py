"""asyncio.wait gives up waiting, and the handler goes on."""

import asyncio

TEST = "test_task_3_ends_a_handler_that_takes_too_long"
SAYS = "the handler still runs"


async def run_handler(app, job):
    task = asyncio.create_task(app.handlers.run(app, job))
    done, _ = await asyncio.wait({task}, timeout=app.settings.handler_timeout_seconds)
    return task.exception() if done else TimeoutError("took too long")
