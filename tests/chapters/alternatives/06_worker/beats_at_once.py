"""Each job has a heart of its own, which beats as soon as the job begins."""

TASKS = [8, 9, 10, 14, 15]

import asyncio
import logging
from dataclasses import replace
from functools import partial

from scheduler.app import App
from scheduler.jobs import Job, Status

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5
TIDY_SECONDS = 3.0
LAST_SECONDS = 1.0


class _Run:
    """A job that this worker has claimed, the task of its handler, and the task around it."""

    def __init__(self, app: App, job: Job) -> None:
        self.app = app
        self.job = job
        self.is_lost = False
        self.is_late = False
        self.handler = asyncio.create_task(app.parts.run_handler(app, job))
        self.heart = asyncio.create_task(self._beat())
        self.task = asyncio.create_task(self._see_through())

    def cancel(self) -> None:
        """End all of it, the finish too: the worker itself was cancelled."""
        for task in (self.task, self.handler, self.heart):
            task.cancel()

    async def _see_through(self) -> None:
        try:
            await asyncio.wait({self.handler})  # never raises what the handler raises, and never cancels it
            self.heart.cancel()
            if self.handler.cancelled():
                return
            error = self.handler.result()
            if self.is_lost or (self.is_late and error is not None):
                return  # what a handler answers to being cancelled is not how its attempt ended
            await self._finish(error)
        except Exception:
            log.exception("job %s is left to its lease", self.job.task_id)

    async def _finish(self, error: Exception | None) -> None:
        parts, settings = self.app.parts, self.app.settings
        outcome = parts.decide(self.job, error)
        if outcome.status == Status.RETRY:
            delay = parts.backoff_delay(
                self.job.attempts, settings.retry_base_seconds, settings.retry_cap_seconds
            )
            outcome = replace(outcome, delay=delay)
        if not await parts.finish(self.app, self.job, outcome):
            log.info("job %s had been cancelled, or was not ours any more", self.job.task_id)

    async def _beat(self) -> None:
        while True:
            try:
                ours = await self.app.parts.heartbeat(self.app, [self.job])
            except Exception:
                log.exception("a heartbeat failed; the lease lasts until the next")
                ours = {self.job.task_id}
            if self.job.task_id not in ours and not self.handler.done() and not self.is_lost:
                log.warning("job %s is not ours any more; its handler is cancelled", self.job.task_id)
                self.is_lost = True
                self.handler.cancel()
            await asyncio.sleep(self.app.settings.heartbeat_seconds)


class Worker:
    """Runs jobs, each with a heart of its own."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._slots = asyncio.Semaphore(app.settings.worker_pool_size)
        self._runs: set[_Run] = set()
        self._stopping = asyncio.Event()
        self._over = asyncio.Event()

    async def run(self) -> None:
        try:
            while True:
                await self._slots.acquire()
                if self._stopping.is_set():
                    break
                await self._use_slot()
            await self._drain()
        finally:
            # Nobody is left after a drain, but handlers that would not stop. Their leases may run out now.
            left = list(self._runs)
            for run in left:
                run.cancel()
            if left:
                tasks = [task for run in left for task in (run.task, run.handler)]
                await asyncio.wait(tasks, timeout=LAST_SECONDS)
            self._over.set()

    async def stop(self) -> None:
        self._stopping.set()
        self._slots.release()  # the loop may wait for a slot; it sees the flag before it uses this one
        await self._over.wait()

    async def _use_slot(self) -> None:
        jobs: list[Job] = []
        try:
            entries = await self.app.parts.take(self.app, 1)
            if entries:
                jobs = await self.app.parts.claim(self.app, entries)
            else:
                await asyncio.sleep(0)
        except Exception:
            log.exception("no job could be taken; the worker tries again in a moment")
            await self._pause()
        finally:
            if not jobs:
                self._slots.release()
        for job in jobs:
            run = _Run(self.app, job)
            self._runs.add(run)
            run.task.add_done_callback(partial(self._ended, run))

    def _ended(self, run: _Run, _: asyncio.Task[None]) -> None:
        self._runs.discard(run)
        self._slots.release()

    async def _pause(self) -> None:
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({stop}, timeout=PAUSE_SECONDS)
        finally:
            stop.cancel()

    async def _drain(self) -> None:
        if self._runs:
            grace = self.app.settings.shutdown_grace_seconds
            await asyncio.wait([run.task for run in self._runs], timeout=grace)
        late = [run for run in self._runs if not run.handler.done() and not run.is_lost]
        for run in late:
            run.is_late = True
            run.handler.cancel()
        loop = asyncio.get_running_loop()
        end = loop.time() + TIDY_SECONDS
        waiting = {run.task: run for run in late}
        while waiting and (seconds := end - loop.time()) > 0:
            # Each as soon as it has stopped: nobody extends its lease any more.
            done, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            await self._give_back([waiting.pop(task) for task in done])
        finishing = [run.task for run in self._runs if run.handler.done()]
        if finishing:
            await asyncio.wait(finishing)  # a finish is not cut; the database has its own limits

    async def _give_back(self, runs: list[_Run]) -> None:
        stopped = [run.job for run in runs if not run.is_lost]
        stopped = [job for job in stopped if not self.app.handlers.abandoned(job)]
        if not stopped:
            return
        try:
            given = await self.app.parts.give_back(self.app, stopped)
            if given:
                await self.app.queue.push_many(given)
        except Exception:
            log.exception(
                "jobs could not be given back, or not be pushed: the reaper or the reconciler will do it"
            )
