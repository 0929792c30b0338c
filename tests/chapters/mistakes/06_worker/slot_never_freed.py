"""The slot of a job that failed badly is never given back."""

import asyncio
import logging
from dataclasses import replace

TEST = "test_task_9_frees_the_slot_of_a_job_that_failed_badly"
SAYS = "its slot stays taken"

log = logging.getLogger(__name__)


class Worker:
    def __init__(self, app):
        self.app = app
        self.tasks = set()
        self.busy = 0
        self.stopping = False
        self.ended = asyncio.Event()

    async def run(self):
        try:
            while not self.stopping:
                await self.turn()
            if self.tasks:
                await asyncio.wait(self.tasks)
        finally:
            self.ended.set()

    async def stop(self):
        self.stopping = True
        await self.ended.wait()

    async def turn(self):
        free = self.app.settings.worker_pool_size - self.busy
        if free == 0:
            await asyncio.sleep(0.01)
            return
        try:
            entries = await self.app.parts.take(self.app, free)
            jobs = await self.app.parts.claim(self.app, entries)
        except Exception as error:
            log.warning("no jobs for now: %s", type(error).__name__)
            await asyncio.sleep(0.1)
            return
        for job in jobs:
            self.busy += 1
            task = asyncio.create_task(self.work(job))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def work(self, job):
        app, parts, settings = self.app, self.app.parts, self.app.settings
        try:
            error = await parts.run_handler(app, job)
            outcome = parts.decide(job, error)
            if outcome.status == "retry":
                delay = parts.backoff_delay(
                    job.attempts, settings.retry_base_seconds, settings.retry_cap_seconds
                )
                outcome = replace(outcome, delay=delay)
            await parts.finish(app, job, outcome)
            self.busy -= 1
        except Exception:
            log.exception("job %s could not be finished", job.task_id)
