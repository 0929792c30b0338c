"""The process that measures one queue once: `python -m benchmarks.driver MODULE CLASS PART JOBS SECONDS LOG`.

It runs in the queue's own environment, submits, and starts the queue's workers. The last line of its standard output
is JSON: the figures of this part, or why there are none. It ends with its standard input, and its workers with it.
"""

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from benchmarks import measures
from benchmarks.measures import Limits
from benchmarks.queues.base import Queue
from benchmarks.stamps import Stamps
from benchmarks.workers import Workers

Figures = dict[str, float | None]


async def submitting(queue: Queue, limits: Limits) -> Figures:
    """The part without workers."""
    return {"submit": await measures.submit(queue, limits), "bulk": await measures.bulk(queue, limits)}


async def with_one(queue: Queue, workers: Workers, stamps: Stamps, limits: Limits) -> Figures:
    """The part with one worker."""
    p50, p99 = await measures.pickup(queue, stamps, limits)
    return {
        "pickup_p50": p50,
        "pickup_p99": p99,
        "end_to_end": await measures.end_to_end(queue, limits),
        "drain_1": await measures.drain(queue, workers, limits),
    }


async def with_two(queue: Queue, workers: Workers, limits: Limits) -> Figures:
    """The part with two workers."""
    return {"drain_2": await measures.drain(queue, workers, limits)}


async def measure(queue: Queue, part: str, limits: Limits, log: IO[bytes]) -> Figures:
    """One part of the measures: `submit`, `one` or `two`."""
    async with opened(queue, log):
        if part == "submit":
            return await submitting(queue, limits)
        stamps = await Stamps.listening()
        workers = Workers([queue.worker] * (2 if part == "two" else 1), log)
        try:
            await measures.warm(queue, stamps, workers)
            if part == "one":
                return await with_one(queue, workers, stamps, limits)
            return await with_two(queue, workers, limits)
        finally:
            workers.close()


@asynccontextmanager
async def opened(queue: Queue, log: IO[bytes]) -> AsyncIterator[None]:
    """The queue's services run and it is open while the block runs."""
    services = Workers(queue.services, log)
    try:
        await queue.open()
        try:
            yield
        finally:
            await queue.close()
    finally:
        services.close()


def main(module: str, class_name: str, part: str, jobs: str, seconds: str, log_file: str) -> None:
    """Measure, and write the answer."""
    threading.Thread(target=_end_with_pipe, daemon=True).start()
    queue: Queue = getattr(import_module(module), class_name)()
    answer: dict[str, Any]
    with Path(log_file).open("ab") as log:
        try:
            figures = _run(measure(queue, part, Limits(int(jobs), float(seconds)), log))
            answer = {"figures": figures, "versions": {name: version(name) for name in queue.packages}}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # some clients keep threads that would hold the process up


def _run(work: Any) -> Any:
    import uvloop  # every environment has it: the scheduler runs on it, and so may the others

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _end_with_pipe() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)  # the holders of the workers see our pipes close


if __name__ == "__main__":
    main(*sys.argv[1:])
