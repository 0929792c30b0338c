"""A worker in a process of its own, for tests that kill it or put it to sleep. Settings come from the environment.

    python lone_worker.py FOLDER

In the folder it writes `metrics_port` when it works, `started-ID` when a handler begins and `ended-ID` when one ends;
its handlers wait for the file `go`. SIGTERM stops it in order.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

from scheduler.app import App
from scheduler.config import Settings
from scheduler.jobs import Job
from scheduler.parts import reference
from scheduler.worker.handlers import handlers
from scheduler.worker.service import running_worker

folder = Path(sys.argv[1])


def mark(name: str, text: str = "") -> None:
    """Write a file so that whoever sees it sees all of it."""
    half = folder / f"{name}.half"
    half.write_text(text, "utf-8")
    half.rename(folder / name)


@handlers("lone_wait")
async def lone_wait(app: App, job: Job) -> None:
    """Waits for `go`, as a well-behaved handler does."""
    mark(f"started-{job.task_id}")
    while not (folder / "go").exists():
        await asyncio.sleep(0.005)
    mark(f"ended-{job.task_id}")


@handlers("lone_block")
async def lone_block(app: App, job: Job) -> None:
    """Waits for `go` and blocks the event loop meanwhile, so that what comes next is its finish and nothing else."""
    mark(f"started-{job.task_id}")
    while not (folder / "go").exists():
        time.sleep(0.005)  # noqa: ASYNC251
    mark(f"ended-{job.task_id}")


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running_worker(Settings.from_environment(), reference()) as worker:
        mark("metrics_port", str(worker.metrics_port))
        await stop.wait()


asyncio.run(main())
