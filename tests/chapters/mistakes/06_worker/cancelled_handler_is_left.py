"""run_handler cancels its handler, and does not wait until it has tidied up."""

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "until that is done: expected"

import asyncio


async def run_handler(app, job):
    work = asyncio.create_task(app.handlers.run(app, job))
    try:
        done, _ = await asyncio.wait({work}, timeout=app.settings.handler_timeout_seconds)
    except asyncio.CancelledError:
        work.cancel()
        raise
    if not done:
        work.cancel()
        await asyncio.wait({work})
        return TimeoutError("too long")
    return work.exception()
