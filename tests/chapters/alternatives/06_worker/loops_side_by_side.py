"""No pool at all: as many loops as there are slots, each of which does one job after another."""

import asyncio
import logging
from dataclasses import replace

TASKS = [8, 9, 10]


class Worker:
    def __init__(self, app):
        self.app = app
        self.goes_on = True
        self.loops = []
        self.ended = asyncio.Event()

    async def run(self):
        self.loops = [asyncio.create_task(self.loop()) for _ in range(self.app.settings.worker_pool_size)]
        try:
            await asyncio.gather(*self.loops)
        finally:
            self.ended.set()

    async def loop(self):
        while self.goes_on:
            try:
                await self.one()
            except Exception:
                logging.exception("one of the loops stumbled")
                await asyncio.sleep(0.1)

    async def one(self):
        parts, app = self.app.parts, self.app
        for job in await parts.claim(app, await parts.take(app, 1)):
            outcome = parts.decide(job, await parts.run_handler(app, job))
            if outcome.status.value == "retry":
                base, cap = app.settings.retry_base_seconds, app.settings.retry_cap_seconds
                outcome = replace(outcome, delay=parts.backoff_delay(job.attempts, base, cap))
            await parts.finish(app, job, outcome)

    async def stop(self):
        self.goes_on = False
        await self.ended.wait()
