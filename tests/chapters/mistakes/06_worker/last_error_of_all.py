"""One variable of the module for all handlers that run at once."""

import asyncio

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "beside"


last = [None]


async def run_handler(app, job):
    last[0] = None
    try:
        async with asyncio.timeout(app.settings.handler_timeout_seconds):
            await app.handlers.run(app, job)
    except Exception as e:
        last[0] = e
    await asyncio.sleep(0)
    return last[0]
