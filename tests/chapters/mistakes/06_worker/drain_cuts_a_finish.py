"""At the end of the grace the finishes are cancelled with the handlers."""

TEST = "test_task_15_agrees_with_the_reference_on_every_input"
SAYS = "which was cancelled: how often the job was finished"

import asyncio
import logging
from dataclasses import replace

from scheduler.app import App
from scheduler.jobs import Job, Status

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5
STOPPING_SECONDS = 3.0


class Worker:
    """Runs jobs, several at once, keeps their leases, and stops in time."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._running: dict[asyncio.Task[None], Job] = {}
        self._handling: set[asyncio.Task[None]] = set()
        """The tasks whose handler has not ended: those that may be cancelled."""
        self._stopping = asyncio.Event()
        self._over = asyncio.Event()

    async def run(self) -> None:
        beat = asyncio.create_task(self._beat())
        try:
            while not self._stopping.is_set():
                try:
                    await self._turn()
                except Exception:
                    log.exception("a turn of the worker failed")
                    await self._wait_for_stop(PAUSE_SECONDS)
            await self._drain()
        finally:
            beat.cancel()
            for task in list(self._running):
                task.cancel()
            self._over.set()

    async def stop(self) -> None:
        self._stopping.set()
        await self._over.wait()

    async def _turn(self) -> None:
        free = self.app.settings.worker_pool_size - len(self._running)
        if free <= 0:
            await self._wait_for_slot()
            return
        entries = await self.app.parts.take(self.app, free)
        if entries:
            for job in await self.app.parts.claim(self.app, entries):
                self._start(job)

    async def _wait_for_slot(self) -> None:
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([*self._running, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()

    async def _wait_for_stop(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _start(self, job: Job) -> None:
        task = asyncio.create_task(self._one(job))
        self._running[task] = job
        self._handling.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._handling.discard(task)

    async def _one(self, job: Job) -> None:
        parts, settings = self.app.parts, self.app.settings
        task = asyncio.current_task()
        try:
            error = await parts.run_handler(self.app, job)
            self._handling.discard(task)
            outcome = parts.decide(job, error)
            if outcome.status == Status.RETRY:
                delay = parts.backoff_delay(
                    job.attempts, settings.retry_base_seconds, settings.retry_cap_seconds
                )
                outcome = replace(outcome, delay=delay)
            await parts.finish(self.app, job, outcome)
        except Exception:
            log.exception("job %s was left running", job.task_id)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.app.settings.heartbeat_seconds)
            running = dict(self._running)
            if not running:
                continue
            try:
                ours = await self.app.parts.heartbeat(self.app, list(running.values()))
            except Exception:
                log.exception("a heartbeat failed; the leases still last")
                continue
            for task, job in running.items():
                if job.task_id not in ours and task in self._handling:
                    log.warning("job %s is not ours any more", job.task_id)
                    task.cancel()

    async def _drain(self) -> None:
        if self._running:
            await asyncio.wait(list(self._running), timeout=self.app.settings.shutdown_grace_seconds)
        late = dict(self._running)
        for task in late:
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running), timeout=STOPPING_SECONDS)
        stopped = [job for task, job in late.items() if task.done() and not self.app.handlers.abandoned(job)]
        if not stopped:
            return
        try:
            given = await self.app.parts.give_back(self.app, stopped)
            if given:
                await self.app.queue.push_many(given)
        except Exception:
            log.exception("%d jobs are left to their leases, or to the reconciler", len(stopped))
