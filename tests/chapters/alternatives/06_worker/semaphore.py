"""One entry at a time, behind a semaphore that is acquired before the take."""

import asyncio
import logging
from dataclasses import replace

from scheduler.database import Unavailable
from scheduler.jobs import Status

TASKS = [8, 9, 10]

log = logging.getLogger(__name__)


class Worker:
    def __init__(self, app):
        self.app = app
        self.size = app.settings.worker_pool_size
        self.slots = asyncio.Semaphore(self.size)
        self.tasks = []
        self.stopping = False
        self.over = asyncio.Event()

    async def run(self):
        try:
            while not self.stopping:
                await self.slots.acquire()
                if self.stopping or not await self.begin():
                    self.slots.release()
            await asyncio.gather(*self.tasks)
        finally:
            self.over.set()

    async def begin(self):
        self.tasks = [task for task in self.tasks if not task.done()]
        try:
            entries = await self.app.parts.take(self.app, 1)
            jobs = await self.app.parts.claim(self.app, entries) if entries else []
        except Exception as error:
            log.warning("waiting: %r", error)
            await asyncio.sleep(0.05)
            return False
        self.tasks += [asyncio.create_task(self.work(job)) for job in jobs]
        return bool(jobs)

    async def work(self, job):
        try:
            await self.steps(job)
        except Exception:
            log.exception("unfinished")
        finally:
            self.slots.release()

    async def steps(self, job):
        parts, settings = self.app.parts, self.app.settings
        outcome = parts.decide(job, await parts.run_handler(self.app, job))
        if outcome.status is Status.RETRY:
            seconds = parts.backoff_delay(
                job.attempts, base=settings.retry_base_seconds, cap=settings.retry_cap_seconds
            )
            outcome = replace(outcome, delay=seconds)
        for _ in range(3):
            try:
                await parts.finish(self.app, job, outcome)
                return
            except Unavailable:
                await asyncio.sleep(0.02)

    async def stop(self):
        self.stopping = True
        await self.over.wait()
