"""What is measured. Every loop here is bounded by a number of jobs and by a time in seconds, whichever ends first.

Rates are jobs a second, latencies milliseconds.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median, quantiles
from time import monotonic

from benchmarks.queues.base import Queue
from benchmarks.stamps import Stamps
from benchmarks.workers import Workers

CHUNK = 500
IN_FLIGHT = 32
START_SECONDS = 30.0
PICKUPS = 100


@dataclass(frozen=True)
class Limits:
    """How much is measured at most."""

    jobs: int
    seconds: float


async def submit(queue: Queue, limits: Limits) -> float:
    """One caller, one job at a time, no worker."""

    async def one() -> int:
        await queue.submit("noop")
        return 1

    _, rate = await _repeat(one, limits)
    return rate


async def bulk(queue: Queue, limits: Limits) -> float | None:
    """One caller, 500 jobs at a time, no worker; None if the queue can't."""
    if not queue.has_bulk:
        return None
    _, rate = await _repeat(lambda: _chunk(queue, limits.jobs), limits)
    return rate


async def warm(queue: Queue, stamps: Stamps, workers: Workers) -> None:
    """Wait until every worker has run a job, so that nothing of its start is measured."""
    deadline = monotonic() + START_SECONDS
    seen: set[int] = set()
    while len(seen) < len(workers):
        if monotonic() > deadline:
            raise TimeoutError(f"{len(seen)} of {len(workers)} workers took jobs within {START_SECONDS:g} s")
        workers.check()
        await queue.submit("stamp")
        try:
            seen.add((await stamps.next(1)).worker)
        except TimeoutError:
            continue  # it still starts
    await asyncio.sleep(0.2)
    stamps.forget()


async def pickup(queue: Queue, stamps: Stamps, limits: Limits) -> tuple[float, float]:
    """An idle worker: ms from before the submit to the job's first line, the median and the 99th percentile."""
    pauses = random.Random(1)
    deadline = monotonic() + 2 * limits.seconds
    taken: list[float] = []
    while len(taken) < 2 or (monotonic() < deadline and len(taken) < PICKUPS):
        # Of no fixed length, so that it falls into step with nobody's polls.
        await asyncio.sleep(pauses.uniform(0.03, 0.1))
        began = monotonic()
        await queue.submit("stamp")
        taken.append(1000 * ((await stamps.next(START_SECONDS)).at - began))
    return median(taken), quantiles(taken, n=100, method="inclusive")[98]


async def drain(queue: Queue, workers: Workers, limits: Limits) -> float:
    """The workers stand still while the jobs are submitted, then all start at once: jobs finished a second."""
    workers.hold_still()
    before = await queue.finished()
    submitted, _ = await _repeat(lambda: _chunk(queue, limits.jobs), Limits(limits.jobs, 2 * limits.seconds))
    began = monotonic()
    workers.let_go()
    seen = _Seen(queue, before, pause=0.003)
    while seen.jobs < submitted and monotonic() < began + limits.seconds:
        await seen.look()
    workers.check()
    return seen.jobs / (seen.at - began)


async def end_to_end(queue: Queue, limits: Limits) -> float:
    """32 jobs are under way: for each that has finished, the next is submitted."""
    free = asyncio.Semaphore(IN_FLIGHT)
    seen = _Seen(queue, await queue.finished(), pause=0.001)
    began = monotonic()

    async def caller() -> None:
        while True:
            await free.acquire()
            await queue.submit("noop")

    callers = [asyncio.create_task(caller()) for _ in range(IN_FLIGHT)]
    try:
        while seen.jobs < limits.jobs and monotonic() < began + limits.seconds:
            for _ in range(await seen.look()):
                free.release()
            for failed in (one for one in callers if one.done()):
                failed.result()
    finally:
        for one in callers:
            one.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    return seen.jobs / (seen.at - began)


class _Seen:
    """How many jobs have been seen to finish, and when that was."""

    def __init__(self, queue: Queue, before: int, pause: float) -> None:
        self._queue = queue
        self._before = before
        self._pause = pause
        self._cost = 0.0
        self.jobs = 0
        self.at = monotonic()

    async def look(self) -> int:
        """Wait a moment, look, and return how many more there are."""
        # Looking must not be what the queue's servers are busy with.
        await asyncio.sleep(max(self._pause, 8 * self._cost))
        began = monotonic()
        jobs = await self._queue.finished() - self._before
        now = monotonic()
        self._cost = now - began
        more = jobs - self.jobs
        if more:
            self.jobs, self.at = jobs, now
        return more


async def _repeat(work: Callable[[], Awaitable[int]], limits: Limits) -> tuple[int, float]:
    """Do it until the limits are reached: how many jobs that were, and how many a second."""
    began = monotonic()
    done = 0
    while done < limits.jobs and monotonic() < began + limits.seconds:
        done += await work()
    return done, done / (monotonic() - began)


async def _chunk(queue: Queue, most: int) -> int:
    count = min(CHUNK, most)
    await queue.submit_many(count)
    return count
