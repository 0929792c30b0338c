"""A loop for each slot, in a TaskGroup, and nothing is caught: it raises an ExceptionGroup."""

import asyncio
from dataclasses import replace

TEST = "test_task_8_outlives_an_error"
SAYS = "raised ConnectionError once, and that ended Worker.run"


class Worker:
    def __init__(self, app):
        self.app = app
        self.stopping = False

    async def run(self):
        async with asyncio.TaskGroup() as group:
            for _ in range(self.app.settings.worker_pool_size):
                group.create_task(self.loop())

    async def loop(self):
        app, parts, settings = self.app, self.app.parts, self.app.settings
        while not self.stopping:
            for job in await parts.claim(app, await parts.take(app, 1)):
                outcome = parts.decide(job, await parts.run_handler(app, job))
                if outcome.status == "retry":
                    delay = parts.backoff_delay(
                        job.attempts, settings.retry_base_seconds, settings.retry_cap_seconds
                    )
                    outcome = replace(outcome, delay=delay)
                await parts.finish(app, job, outcome)
