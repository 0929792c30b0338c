"""In the pause after an error a cancellation is swallowed, and the loop goes on."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace

TEST = "test_task_8_agrees_with_the_reference_on_every_input"
SAYS = "run was cancelled in the pause after such an error: expected it to end"

log = logging.getLogger(__name__)


class Worker:
    def __init__(self, app):
        self.app = app
        self.stopping = asyncio.Event()
        self.over = asyncio.Event()

    async def run(self):
        try:
            while not self.stopping.is_set():
                try:
                    jobs = await self.app.parts.claim(self.app, await self.app.parts.take(self.app, 1))
                except Exception:
                    log.exception("no jobs for now")
                    with suppress(TimeoutError, asyncio.CancelledError):
                        await asyncio.wait_for(self.stopping.wait(), 0.5)
                    continue
                for job in jobs:
                    await self.work(job)
        finally:
            self.over.set()

    async def stop(self):
        self.stopping.set()
        await self.over.wait()

    async def work(self, job):
        app, parts, settings = self.app, self.app.parts, self.app.settings
        try:
            error = await parts.run_handler(app, job)
            outcome = parts.decide(job, error)
            if outcome.status == "retry":
                base, cap = settings.retry_base_seconds, settings.retry_cap_seconds
                outcome = replace(outcome, delay=parts.backoff_delay(job.attempts, base, cap))
            await parts.finish(app, job, outcome)
        except Exception:
            log.exception("job %s could not be finished", job.task_id)
