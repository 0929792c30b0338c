import asyncio
import logging
from dataclasses import replace

from workbook.loader import earlier

log = logging.getLogger(__name__)


class Worker(earlier("Worker")):
    async def run(self):
        while True:
            try:
                for entry in await self.app.parts.take(self.app, 1):
                    for job in await self.app.parts.claim(self.app, [entry]):
                        await self.work(job)
            except Exception as error:
                log.exception("a turn failed: %s", error)
                await asyncio.sleep(0.2)

    async def handle(self, job):
        return await self.app.parts.run_handler(self.app, job)

    async def work(self, job):
        app, parts = self.app, self.app.parts
        error = await self.handle(job)
        outcome = parts.decide(job, error)
        if outcome.status == "retry":
            settings = app.settings
            delay = parts.backoff_delay(job.attempts, settings.retry_base_seconds, settings.retry_cap_seconds)
            outcome = replace(outcome, delay=delay)
        await parts.finish(app, job, outcome)
