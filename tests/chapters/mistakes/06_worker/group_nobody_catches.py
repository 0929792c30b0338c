"""A bug in a TaskGroup: what it raises is named, and not only its group."""

import asyncio
from dataclasses import replace

TEST = "test_task_8_runs_a_job_to_its_end"
SAYS = "TypeError: "


class Worker:
    def __init__(self, app):
        self.app = app

    async def run(self):
        async with asyncio.TaskGroup() as group:
            for _ in range(self.app.settings.worker_pool_size):
                group.create_task(self.loop())

    async def loop(self):
        for entry in await self.app.parts.take(self.app):
            await self.app.parts.claim(self.app, [entry])
