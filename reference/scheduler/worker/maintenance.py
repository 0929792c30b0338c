"""What a worker process does beside running jobs: the retry pump, the reaper and the reconciler, each in its own loop.

Every worker process runs all three. They do not elect a leader, for they need none: each row goes to whichever UPDATE
reaches it first.
"""

import asyncio

from scheduler.app import App
from scheduler.duties import every


async def maintain(app: App) -> None:
    """Run the duties of a worker process until cancelled."""
    settings, parts = app.settings, app.parts
    async with asyncio.TaskGroup() as group:
        group.create_task(every(settings.poll_seconds, app, parts.pump_retries))
        group.create_task(every(settings.poll_seconds, app, parts.reap))
        group.create_task(every(settings.reconcile_seconds, app, parts.reconcile))
