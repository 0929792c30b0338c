"""The handler in a task of its own, which is cancelled when its time is up, or with its caller."""

import asyncio

TASKS = [3]


async def run_handler(app, job):
    task = asyncio.ensure_future(app.handlers.run(app, job))
    try:
        done, _ = await asyncio.wait([task], timeout=app.settings.handler_timeout_seconds)
        if not done:
            return RuntimeError("its time was up")
        return task.exception()
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=0.1)
