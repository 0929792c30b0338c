"""While it is full, the worker sleeps, and the whole event loop with it."""

import asyncio
import logging
import time
from dataclasses import replace

TEST = "test_task_9_runs_several_jobs_side_by_side"
SAYS = "blocks it: time.sleep(0.01)"

log = logging.getLogger(__name__)


class Worker:
    def __init__(self, app):
        self.app = app
        self.tasks = set()
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
        free = self.app.settings.worker_pool_size - len(self.tasks)
        if free == 0:
            time.sleep(0.01)
            return
        try:
            entries = await self.app.parts.take(self.app, free)
            jobs = await self.app.parts.claim(self.app, entries)
        except Exception as error:
            log.warning("no jobs for now: %s", type(error).__name__)
            await asyncio.sleep(0.1)
            return
        for job in jobs:
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
        except Exception:
            log.exception("job %s could not be finished", job.task_id)
