"""stop waits for nothing."""

import asyncio
import logging
from dataclasses import replace

TEST = "test_task_15_gives_back_what_does_not_end_in_time"
SAYS = "returned while Worker.run was still at work"

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

    async def turn(self):
        free = self.app.settings.worker_pool_size - len(self.tasks)
        if free == 0:
            await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
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
