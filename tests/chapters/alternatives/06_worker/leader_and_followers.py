"""As many coroutines as slots. The one that holds a lock takes and claims, lets the next one lead, and runs its job."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace

TASKS = [8, 9, 10]

log = logging.getLogger(__name__)


class Worker:
    def __init__(self, app):
        self.app = app
        self.lead = asyncio.Lock()
        self.stopping = asyncio.Event()
        self.over = asyncio.Event()

    async def run(self):
        members = [asyncio.create_task(self.member()) for _ in range(self.app.settings.worker_pool_size)]
        try:
            await asyncio.wait(members)
        finally:
            for member in members:  # those of a run that was cancelled
                member.cancel()
            try:
                await asyncio.wait(members)
            finally:
                self.over.set()

    async def stop(self):
        self.stopping.set()
        await self.over.wait()

    async def member(self):
        while not self.stopping.is_set():
            async with self.lead:
                jobs = [] if self.stopping.is_set() else await self.next()
            for job in jobs:
                await self.work(job)

    async def next(self):
        try:
            entries = await self.app.parts.take(self.app, 1)
            return await self.app.parts.claim(self.app, entries) if entries else []
        except Exception:
            log.exception("nothing for now")
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self.stopping.wait()
            return []

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
            log.exception("job %s stays running until its lease is over", job.task_id)
