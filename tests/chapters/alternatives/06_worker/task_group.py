"""A TaskGroup that holds the jobs and the heartbeat, a Condition for the slots, and leases by unnest."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace

from redis.exceptions import RedisError
from scheduler.jobs import Job, Status

TASKS = [8, 9, 10, 11, 14, 15]

log = logging.getLogger(__name__)

MINE = """FROM unnest(%s::uuid[], %s::int[]) AS mine(id, attempt)
    WHERE tasks.task_id = mine.id AND tasks.attempts = mine.attempt AND tasks.status = 'running'"""


def _columns(jobs):
    return [job.task_id for job in jobs], [job.attempts for job in jobs]


async def heartbeat(app, jobs):
    statement = f"""UPDATE tasks SET lease_expires_at = now() + interval '{app.settings.lease_seconds} seconds'
        {MINE} RETURNING task_id"""
    return {row["task_id"] for row in await app.db.fetch_all(statement, _columns(jobs))}


async def give_back(app, jobs):
    statement = f"""UPDATE tasks SET status = 'queued', max_attempts = max_attempts + 1, queued_at = now(),
        pushed_at = now(), worker = NULL, lease_expires_at = NULL, version = version + 1, updated_at = now()
        {MINE} RETURNING tasks.*"""
    return list(map(Job.from_row, await app.db.fetch_all(statement, _columns(jobs))))


class Worker:
    def __init__(self, app):
        self.app = app
        self.held = {}
        self.finishing = set()
        self.slot = asyncio.Condition()
        self.stopped = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self):
        try:
            async with asyncio.TaskGroup() as group:
                beating = group.create_task(self.beat())
                while not self.stopped.is_set():
                    await self.turn(group)
                await self.drain()
                beating.cancel()
        finally:
            self.ended.set()

    async def turn(self, group):
        size = self.app.settings.worker_pool_size
        async with self.slot:
            await self.slot.wait_for(lambda: len(self.held) < size or self.stopped.is_set())
        if self.stopped.is_set():
            return
        try:
            entries = await self.app.parts.take(self.app, min(size - len(self.held), 20))
            jobs = await self.app.parts.claim(self.app, entries)
        except Exception as error:
            log.warning("%s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopped.wait(), 0.1)
            return
        for job in jobs:
            self.held[group.create_task(self.work(job))] = job

    async def work(self, job):
        cut = False
        try:
            await self.steps(job)
        except asyncio.CancelledError:
            cut = True
        except Exception:
            log.exception("job %s", job.task_id)
        finally:
            if not (cut and self.stopped.is_set()):
                self.held.pop(asyncio.current_task(), None)
            self.finishing.discard(asyncio.current_task())
            async with self.slot:
                self.slot.notify_all()

    async def steps(self, job):
        parts = self.app.parts
        error = await parts.run_handler(self.app, job)
        self.finishing.add(asyncio.current_task())
        outcome = parts.decide(job, error)
        if outcome.status == Status.RETRY:
            delay = parts.backoff_delay(
                job.attempts, self.app.settings.retry_base_seconds, self.app.settings.retry_cap_seconds
            )
            outcome = replace(outcome, delay=delay)
        await asyncio.shield(asyncio.ensure_future(parts.finish(self.app, job, outcome)))

    async def beat(self):
        while True:
            await asyncio.sleep(self.app.settings.heartbeat_seconds)
            held = dict(self.held)
            try:
                ours = await self.app.parts.heartbeat(self.app, list(held.values()))
            except Exception as error:
                log.warning("a heartbeat failed: %s", error)
                continue
            for task, job in held.items():
                if job.task_id not in ours and not task.cancelling():
                    task.cancel()

    async def drain(self):
        grace = self.app.settings.shutdown_grace_seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(grace), self.slot:
                await self.slot.wait_for(lambda: not self.held)
        cut = {task: job for task, job in self.held.items() if task not in self.finishing}
        for task in cut:
            task.cancel()
        if self.held:
            await asyncio.wait(self.held, timeout=grace)
        rest = [job for task, job in cut.items() if task.done() and self.app.handlers.abandoned(job) == 0]
        for job in await self.app.parts.give_back(self.app, rest):
            with suppress(RedisError):
                await self.app.queue.push(job)

    async def stop(self):
        self.stopped.set()
        async with self.slot:
            self.slot.notify_all()
        await self.ended.wait()
