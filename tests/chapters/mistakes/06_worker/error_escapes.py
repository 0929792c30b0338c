"""What the handler raises goes on."""

import asyncio

TEST = "test_task_3_returns_the_error_of_the_handler"
SAYS = "what a handler raises is returned"


async def run_handler(app, job):
    async with asyncio.timeout(app.settings.handler_timeout_seconds):
        await app.handlers.run(app, job)
