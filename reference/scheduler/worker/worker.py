"""Chapter 06, part B: the loop. Take as many jobs as there are free slots, run them side by side, and stop in order.

run ── take ── claim ── a task for each job: handler, decide, finish
 │                                   ▲
 └── heartbeat: extends all leases ──┘ cancels the handler of a job that is not ours any more
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from time import monotonic

from redis.exceptions import RedisError

from scheduler.app import App
from scheduler.database import DatabaseError, Unavailable
from scheduler.duties import cancel_and_wait
from scheduler.entry import Entry
from scheduler.jobs import Job, Status
from scheduler.worker.batches import wait_for_database
from scheduler.worker.one_job import Outcome, claim_nothing
from scheduler.worker.retries import push_or_leave
from scheduler.worker.runs import as_exception
from scheduler.worker.unhandled import NoHandler, Unhandled

log = logging.getLogger(__name__)

LARGEST_BATCH = 500
MOST_HELD = 3
"""How many jobs a slot may hold at once: one whose handler runs, and others whose finish is being written."""
PAUSE_SECONDS = 0.5
BEAT_AGAIN_SECONDS = 0.5


class Stage(Enum):
    """How far a running job is."""

    HANDLER = auto()
    LOST = auto()  # its handler was cancelled: the job is not ours any more
    STOPPED = auto()  # its handler was cancelled: the worker stops, and the job is given back
    FINISH = auto()  # its handler has ended, and what became of it is being written


@dataclass(slots=True, eq=False)
class Running:
    """A job that this worker has claimed, until it is finished, lost or given back."""

    job: Job
    deadline: float
    """When the lease runs out at the latest, on this process's monotonic clock."""
    stage: Stage = Stage.HANDLER
    task: asyncio.Task[None] | None = None

    def cancel(self, stage: Stage) -> None:
        """Cancel the handler, and say why. A finish that is under way is left alone: the fence guards it."""
        if self.stage is Stage.HANDLER:
            self.stage = stage
            if self.task is not None:
                self.task.cancel()


class Worker:
    """Runs jobs, `worker_pool_size` handlers at a time."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.is_stuck = False
        """Whether a turn has failed for a reason that nobody foresaw, and no claim has worked since."""
        self._running: set[Running] = set()
        self._in_handler: set[Running] = set()
        self._slot_freed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._unhandled = Unhandled(app)

    async def run(self) -> None:
        """Take and run jobs until `stop` is called and what runs has ended. Faults of the services are outlived."""
        beside = [asyncio.create_task(self._beat()), asyncio.create_task(self._watch_deadlines())]
        try:
            while not self._stopping.is_set():
                await self._turn()
            await self._drain()
        finally:
            await self._unhandled.close()
            await cancel_and_wait(beside)
            self._ended.set()

    async def stop(self) -> None:
        """Take nothing more, wait for the handlers up to a grace, give back the rest, and return when `run` has."""
        self._stopping.set()
        self._slot_freed.set()
        await self._ended.wait()

    async def _turn(self) -> None:
        """Start as many jobs as there are free slots; wait for a slot if there is none."""
        if self.is_stuck:
            await self._try_again()
            return
        free = self._free_slots()
        if free <= 0:
            self._slot_freed.clear()
            with suppress(TimeoutError):  # a thread that overran its time ends without a word: look again
                async with asyncio.timeout(PAUSE_SECONDS):
                    await self._slot_freed.wait()
            return
        try:
            await self._start_some(min(free, LARGEST_BATCH))
        except (RedisError, DatabaseError) as error:
            log.warning("no jobs for now: %s", type(error).__name__)
            await self._pause()
        except Exception:
            log.exception("a turn of the worker failed; it takes nothing until a claim works")
            self.is_stuck = True

    async def _try_again(self) -> None:
        """Go on if a claim works. Without asking, each entry that is taken might be one more that nobody claims."""
        await self._pause()
        try:
            await claim_nothing(self._app)
        except Exception as error:
            log.warning("a claim still fails: %s", type(error).__name__)
        else:
            self.is_stuck = False

    def _free_slots(self) -> int:
        # While a finish is written, its slot is free for the next handler; but a slow database must not let finishes
        # pile up without end. A plain handler that overran its time still has its thread, so its slot is not free.
        slots = self._app.settings.worker_pool_size
        free = slots - len(self._in_handler) - self._app.handlers.abandoned()
        return min(free, MOST_HELD * slots - len(self._running))

    async def _start_some(self, limit: int) -> None:
        entries = await self._unhandled.without(await self._app.parts.take(self._app, limit))
        if not entries:
            return
        # Before the claim is sent: the lease that the database grants ends later than one from here.
        sent = monotonic()
        jobs = await self._claim(entries)
        self._app.hints.leased(jobs)
        self._app.hints.changed(job.task_id for job in jobs)
        self._forget_earlier_attempts(jobs)
        claimed = [Running(job, sent + self._app.settings.lease_seconds) for job in jobs]
        if monotonic() > sent + self._app.settings.heartbeat_seconds:
            # The database was slow or away in mid-claim. The leases may be nearly over, or lost already.
            await self._extend_leases(claimed)
        for running in claimed:
            if running.stage is Stage.HANDLER and running.deadline > monotonic():
                self._start(running)

    async def _claim(self, entries: Sequence[Entry]) -> list[Job]:
        """Claim. While the database is away a claim waits for it; when the worker stops, for a lease's time at most."""
        claiming = asyncio.ensure_future(self._app.parts.claim(self._app, entries))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({claiming, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({claiming}, timeout=self._app.settings.lease_seconds)
            if not claiming.done():
                raise Unavailable("the claim was given up, for the worker stops")
            return claiming.result()
        finally:
            await cancel_and_wait([claiming, stopping])

    def _start(self, running: Running) -> None:
        self._app.metrics.started(running.job)
        self._running.add(running)
        self._in_handler.add(running)
        running.task = asyncio.create_task(self._work(running))
        # Not in a `finally` of the task: one that is cancelled before its first step never gets there.
        running.task.add_done_callback(lambda _: self._release(running))
        self._app.metrics.inflight(len(self._running))

    def _forget_earlier_attempts(self, jobs: Iterable[Job]) -> None:
        """A job that is claimed again while it runs here was reaped: this process must have slept for a while."""
        again = {job.task_id for job in jobs}
        for running in self._running:
            if running.job.task_id in again:
                running.cancel(Stage.LOST)

    async def _pause(self) -> None:
        """Wait before taking again: an entry that is taken while the database is away would be lost for a while."""
        with_a_minute = 60.0
        waiting = asyncio.create_task(wait_for_database(self._app, with_a_minute))
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await cancel_and_wait([waiting, stopping])
        if not self._stopping.is_set():
            await asyncio.sleep(PAUSE_SECONDS)

    async def _work(self, running: Running) -> None:
        """One job from its handler to its finish."""
        try:
            began = monotonic()
            error = await self._run_handler(running)
            self._free_slot(running)
            if running.stage is Stage.HANDLER:
                running.stage = Stage.FINISH
                await self._finish(running, error, monotonic() - began)
        except asyncio.CancelledError:
            if running.stage not in (Stage.LOST, Stage.STOPPED):
                raise
        except DatabaseError as error:
            log.warning(
                "a job could not be finished, its lease will run out: %s",
                type(error).__name__,
                extra=_about(running.job),
            )
        except Exception:
            log.exception("a job could not be finished; its lease will run out", extra=_about(running.job))

    async def _run_handler(self, running: Running) -> Exception | None:
        if running.job.type not in self._app.handlers:
            return NoHandler(f"no worker that took it has a handler for the type {running.job.type!r}")
        try:
            return await self._app.parts.run_handler(self._app, running.job)
        except asyncio.CancelledError as error:
            if running.stage is not Stage.HANDLER or running.task is None or self._ended.is_set():
                raise
            # Nobody here has cancelled it, so its own handler has: that is a failure like any other.
            while running.task.uncancel():
                pass
            return as_exception(error)

    def _free_slot(self, running: Running) -> None:
        self._in_handler.discard(running)
        self._slot_freed.set()

    def _release(self, running: Running) -> None:
        if running.stage is Stage.STOPPED:
            return  # it is held until it is given back
        self._running.discard(running)
        self._free_slot(running)
        self._app.hints.released([running.job.task_id])
        self._app.metrics.inflight(len(self._running))

    async def _finish(self, running: Running, error: Exception | None, seconds: float) -> None:
        job = running.job
        outcome = self._app.parts.decide(job, error)
        if outcome.status is Status.RETRY:
            settings = self._app.settings
            delay = self._app.parts.backoff_delay(
                job.attempts, settings.retry_base_seconds, settings.retry_cap_seconds
            )
            outcome = replace(outcome, delay=delay)
        if await self._write(running, outcome):
            self._tell(job, outcome, seconds)
        else:
            log.warning(
                "finished too late: the job had passed to another, or was cancelled", extra=_about(job)
            )
            self._app.metrics.stale_write()

    async def _write(self, running: Running, outcome: Outcome) -> bool:
        """Finish; while the database does not do it, try again, also when the lease is over. Whether it was written.

        Nobody else can end the attempt while the database is away, or the row locked. And if somebody could, it is the
        attempt number that guards the row, and not our clock.
        """
        while True:
            try:
                return await self._app.parts.finish(self._app, running.job, outcome)
            except DatabaseError:
                if self._ended.is_set():
                    raise
                await asyncio.sleep(0.2)

    def _tell(self, job: Job, outcome: Outcome, seconds: float) -> None:
        app = self._app
        app.hints.changed([job.task_id])
        if outcome.status is Status.RETRY:
            app.metrics.retried(job)
            log.info("will be retried in %.1f s: %s", outcome.delay, outcome.error, extra=_about(job))
            return
        app.metrics.finished(job, outcome.status, seconds)
        if outcome.status is Status.DEADLETTER:
            app.hints.dead([job])
        if outcome.error is not None:
            log.warning("%s: %s", outcome.status, outcome.error, extra=_about(job))
        else:
            log.debug("succeeded in %.3f s", seconds, extra=_about(job))

    async def _beat(self) -> None:
        """Extend all leases every few seconds. A task of its own, so that no handler can hold it up by waiting."""
        seconds = self._app.settings.heartbeat_seconds
        taken = True
        while True:
            # One that was not taken is not left to the next: a database that is back is told at once who is alive.
            await asyncio.sleep(seconds if taken else min(seconds, BEAT_AGAIN_SECONDS))
            taken = False
            try:
                taken = await self._extend_leases(
                    [running for running in self._running if running.stage is not Stage.LOST]
                )
            except Exception:
                log.exception("a heartbeat failed; the next one follows")

    async def _extend_leases(self, held: list[Running]) -> bool:
        """Whether the database has taken it."""
        if not held:
            return True
        sent = monotonic()
        try:
            async with asyncio.timeout(self._app.settings.heartbeat_seconds):
                ours = await self._app.parts.heartbeat(self._app, [running.job for running in held])
        except (DatabaseError, TimeoutError):
            log.warning("the database did not take a heartbeat")
            return False
        locked = getattr(ours, "locked", ())
        for running in held:
            if running.job.task_id in locked:
                log.warning("its row is locked: no heartbeat reaches it", extra=_about(running.job))
            elif running.job.task_id in ours:
                running.deadline = sent + self._app.settings.lease_seconds
            else:
                running.cancel(Stage.LOST)
        return True

    async def _watch_deadlines(self) -> None:
        """Stop the handlers whose lease has run out: somebody else may be running their jobs by now.

        A task of its own, for a heartbeat may hang: giving up a statement takes psycopg seconds when nobody answers.
        """
        while True:
            now = monotonic()
            soonest = now + self._app.settings.heartbeat_seconds
            for running in self._running:
                if running.deadline <= now:
                    running.cancel(Stage.LOST)
                elif running.stage is Stage.HANDLER:
                    soonest = min(soonest, running.deadline)
            await asyncio.sleep(max(0.01, soonest - now))

    async def _drain(self) -> None:
        """Wait for what runs, up to the grace; then cancel the handlers, and give their jobs back."""
        await self._wait_for(self._running, self._app.settings.shutdown_grace_seconds)
        for running in self._running:
            running.cancel(Stage.STOPPED)
        await self._wait_for(self._running, self._app.settings.shutdown_grace_seconds)
        # What runs on, a thread or a handler that holds on, may still do its work. Its job stays leased, and the reaper
        # ends it.
        stopped = [running for running in self._running if self._has_stopped(running)]
        for running in self._running - set(stopped):
            log.warning("still running, so it is left to its lease", extra=_about(running.job))
        if stopped:
            await self._give_back([running.job for running in stopped])

    def _has_stopped(self, running: Running) -> bool:
        return (
            running.stage is Stage.STOPPED
            and (running.task is None or running.task.done())
            and not self._app.handlers.abandoned(running.job)
        )

    async def _wait_for(self, those: Iterable[Running], seconds: float) -> None:
        tasks = [running.task for running in those if running.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def _give_back(self, jobs: list[Job]) -> None:
        try:
            returned = await self._app.parts.give_back(self._app, jobs)
        except DatabaseError as error:
            log.warning(
                "%d jobs not given back, their leases will run out: %s", len(jobs), type(error).__name__
            )
            return
        log.info("gave back %d jobs", len(returned))
        await push_or_leave(self._app, [Entry(job.task_id, job.type, job.priority) for job in returned])


def _about(job: Job) -> dict[str, object]:
    return {"job_id": job.task_id, "attempt": job.attempts, "type": job.type}
