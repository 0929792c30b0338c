"""Who tidies up for longer than a heartbeat is cancelled again, and its `finally` is cut off."""

import asyncio
import logging
from dataclasses import replace

TEST = "test_task_14_agrees_with_the_reference_on_every_input"
SAYS = "how often its handler was cancelled"

log = logging.getLogger(__name__)


class Worker:
    def __init__(self, app):
        self.app = app
        self.held = {}
        self.handling = set()
        self.stopping = asyncio.Event()
        self.over = asyncio.Event()

    async def run(self):
        beating = asyncio.create_task(self.beat())
        try:
            while not self.stopping.is_set():
                await self.turn()
            await self.drain()
        finally:
            beating.cancel()
            await asyncio.wait([beating])
            self.over.set()

    async def stop(self):
        self.stopping.set()
        await self.over.wait()

    async def beat(self):
        while True:
            await asyncio.sleep(self.app.settings.heartbeat_seconds)
            held = dict(self.held)
            try:
                ours = await self.app.parts.heartbeat(self.app, list(held.values()))
            except Exception as error:
                log.warning("a heartbeat failed: %s", type(error).__name__)
                continue
            for task, job in held.items():
                if job.task_id not in ours:
                    self.cancel(task)

    def cancel(self, task):
        if task in self.handling:
            task.cancel()

    async def drain(self):
        if self.held:
            await asyncio.wait(self.held, timeout=self.app.settings.shutdown_grace_seconds)
        left = dict(self.held)
        for task in left:
            self.cancel(task)
        if left:
            await asyncio.wait(left, timeout=5)
            stopped = [
                job for task, job in left.items() if task.done() and not self.app.handlers.abandoned(job)
            ]
            await self.app.queue.push_many(await self.app.parts.give_back(self.app, stopped))

    async def turn(self):
        free = self.app.settings.worker_pool_size - len(self.held)
        if free == 0:
            await asyncio.wait(self.held, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
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
            self.held[task] = job
            self.handling.add(task)
            task.add_done_callback(self.held.pop)

    async def work(self, job):
        app, parts, settings = self.app, self.app.parts, self.app.settings
        try:
            error = await parts.run_handler(app, job)
            self.handling.discard(asyncio.current_task())
            outcome = parts.decide(job, error)
            if outcome.status == "retry":
                base, cap = settings.retry_base_seconds, settings.retry_cap_seconds
                outcome = replace(outcome, delay=parts.backoff_delay(job.attempts, base, cap))
            await parts.finish(app, job, outcome)
        except Exception:
            log.exception("job %s could not be finished", job.task_id)
