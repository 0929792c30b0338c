"""After any other error it goes on at once."""

TEST = "test_task_8_agrees_with_the_reference_on_every_input"
SAYS = "at once, without a pause"

import asyncio
import logging
from dataclasses import replace

from redis.exceptions import RedisError

from scheduler.app import App
from scheduler.jobs import Job, Status

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5


class Worker:
    """Runs jobs: takes an entry, claims the job, runs its handler, decides, finishes, and begins again."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def run(self) -> None:
        while True:
            try:
                await self._turn()
            except RedisError:
                log.exception("Redis is away")
                await asyncio.sleep(PAUSE_SECONDS)
            except Exception:
                log.exception("a job failed")  # the next one may do better

    async def _turn(self) -> None:
        entries = await self.app.parts.take(self.app, 1)
        if not entries:
            return
        for job in await self.app.parts.claim(self.app, entries):
            await self._one(job)

    async def _one(self, job: Job) -> None:
        parts, settings = self.app.parts, self.app.settings
        error = await parts.run_handler(self.app, job)
        outcome = parts.decide(job, error)
        if outcome.status == Status.RETRY:
            delay = parts.backoff_delay(job.attempts, settings.retry_base_seconds, settings.retry_cap_seconds)
            outcome = replace(outcome, delay=delay)
        if not await parts.finish(self.app, job, outcome):
            log.info("%s was not ours any more", job.task_id)

    async def stop(self) -> None:
        raise NotImplementedError("06_worker task 10: stop the worker")
