"""An exception may be false; None is asked for with `is`."""

import asyncio

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = 'an error that is false: expected "the handler\'s own error", got None'


async def run_handler(app, job):
    error = None
    try:
        async with asyncio.timeout(app.settings.handler_timeout_seconds):
            await app.handlers.run(app, job)
    except Exception as e:
        error = e
    return error or None
