"""Each job beats for itself, in the coroutine that runs it: no heartbeat of all, and none beside a finish."""

import asyncio
import logging
from dataclasses import replace

TASKS = [8, 9, 10, 14, 15]

log = logging.getLogger(__name__)


class Worker:
    def __init__(self, app):
        self.app = app
        self.jobs = {}
        self.unfinished = []
        self.writing = set()
        self.changed = asyncio.Event()
        self.stopping = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self):
        try:
            while not self.stopping.is_set():
                await self.turn()
            await self.drain()
        finally:
            self.ended.set()

    async def stop(self):
        self.stopping.set()
        self.changed.set()
        await self.ended.wait()

    async def turn(self):
        free = self.app.settings.worker_pool_size - len(self.jobs)
        if free < 1:
            self.changed.clear()
            await self.changed.wait()
            return
        try:
            entries = await self.app.parts.take(self.app, free)
            jobs = await self.app.parts.claim(self.app, entries)
        except Exception:
            log.exception("nothing for now")
            await asyncio.wait([asyncio.ensure_future(self.stopping.wait())], timeout=0.5)
            return
        for job in jobs:
            task = asyncio.create_task(self.one(job))
            self.jobs[task] = job
            task.add_done_callback(self.forget)

    def forget(self, task):
        self.jobs.pop(task)
        self.writing.discard(task)
        self.changed.set()

    async def one(self, job):
        handler = asyncio.create_task(self.app.parts.run_handler(self.app, job))
        try:
            if await self.beats_until_done(job, handler):
                self.writing.add(asyncio.current_task())
                await self.write(job, handler.result())
        except asyncio.CancelledError:
            handler.cancel()
            await asyncio.wait([handler])
            self.unfinished.append(job)
        except Exception:
            log.exception("job %s is left to its lease", job.task_id)

    async def beats_until_done(self, job, handler):
        while True:
            await asyncio.wait([handler], timeout=self.app.settings.heartbeat_seconds)
            if handler.done():
                return True
            try:
                ours = await self.app.parts.heartbeat(self.app, [job])
            except Exception:
                log.exception("a heartbeat failed")
                continue
            if job.task_id not in ours:
                handler.cancel()
                await asyncio.wait([handler])
                return False

    async def write(self, job, error):
        parts, settings = self.app.parts, self.app.settings
        outcome = parts.decide(job, error)
        if outcome.status == "retry":
            delay = parts.backoff_delay(job.attempts, settings.retry_base_seconds, settings.retry_cap_seconds)
            outcome = replace(outcome, delay=delay)
        await parts.finish(self.app, job, outcome)

    async def drain(self):
        grace = self.app.settings.shutdown_grace_seconds
        for asks in (False, True):
            tasks = list(self.jobs)
            for task in tasks:
                if asks and task not in self.writing:
                    task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=grace)
        rest = [job for job in self.unfinished if not self.app.handlers.abandoned(job)]
        try:
            await self.app.queue.push_many(await self.app.parts.give_back(self.app, rest))
        except Exception:
            log.exception("the reconciler pushes what has no entry")
