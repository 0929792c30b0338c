"""A cancellation counts as the job's failure."""

import asyncio

TEST = "test_task_3_lets_a_cancellation_through"
SAYS = "CancelledError must go through"


async def run_handler(app, job):
    try:
        async with asyncio.timeout(app.settings.handler_timeout_seconds):
            await app.handlers.run(app, job)
    except BaseException as error:
        return error
