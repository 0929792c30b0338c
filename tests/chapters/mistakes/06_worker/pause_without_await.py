"""The pause after an error stops the whole process."""

import asyncio
import logging
import time
from dataclasses import replace

TEST = "test_task_8_agrees_with_the_reference_on_every_input"
SAYS = "nothing else in the process could run in between"

log = logging.getLogger(__name__)


class Worker:
    def __init__(self, app):
        self.app = app
        self.tasks = set()
        self.slots = asyncio.Semaphore(app.settings.worker_pool_size)
        self.stopping = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self):
        try:
            while not self.stopping.is_set():
                await self.turn()
            if self.tasks:
                await asyncio.wait(self.tasks)
        finally:
            self.ended.set()

    async def stop(self):
        self.stopping.set()
        await self.ended.wait()

    async def turn(self):
        await self.slots.acquire()
        if self.stopping.is_set():
            return
        try:
            entries = await self.app.parts.take(self.app, 1)
            jobs = await self.app.parts.claim(self.app, entries) if entries else []
        except Exception:
            log.exception("no jobs for now")
            self.slots.release()
            time.sleep(0.5)
            return
        if not jobs:
            self.slots.release()
        for job in jobs:
            task = asyncio.create_task(self.work(job))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def work(self, job):
        try:
            await self.steps(job)
        except Exception:
            log.exception("job %s could not be finished", job.task_id)
        finally:
            self.slots.release()

    async def steps(self, job):
        app, parts, settings = self.app, self.app.parts, self.app.settings
        error = await parts.run_handler(app, job)
        outcome = parts.decide(job, error)
        if outcome.status == "retry":
            delay = parts.backoff_delay(job.attempts, settings.retry_base_seconds, settings.retry_cap_seconds)
            outcome = replace(outcome, delay=delay)
        await parts.finish(app, job, outcome)
