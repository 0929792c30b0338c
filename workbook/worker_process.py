"""A worker of `workbook serve --workers 2`: a process of its own, which may be killed to see what comes of it.

`python -m workbook.worker_process --metrics-port 2113 take,claim,worker` works with these pieces of the learner's, and
with the reference's for the rest, on the services that run here. It says what it takes and what becomes of it. It stops
when its standard input ends: on purpose, or because who started it is gone.
"""

import asyncio
import functools
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scheduler.cli.show import dim, say

if TYPE_CHECKING:
    from scheduler.config import Settings
    from scheduler.parts import Parts

LONGEST_LINE = 2**20


@asynccontextmanager
async def running(fields: Sequence[str], metrics_ports: Sequence[int]) -> AsyncIterator[None]:
    """Start such a process for each port; its lines are written here, numbered. All end with the block."""
    stopping = asyncio.Event()
    processes: list[asyncio.subprocess.Process] = []
    tasks: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as following:
        try:
            for port in metrics_ports:
                processes.append(await _started(fields, port))
                tasks.append(following.create_task(_follow(processes[-1], stopping)))
            yield
        finally:
            stopping.set()
            for process in processes:
                assert process.stdin is not None
                process.stdin.close()
            if tasks:  # before the group ends, which would cancel them: their last lines are still to come
                await asyncio.wait(tasks)


async def _started(fields: Sequence[str], port: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workbook.worker_process", "--metrics-port", str(port), ",".join(fields)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "LOG_FORMAT": os.environ.get("LOG_FORMAT") or "console", "NO_COLOR": "1"},
        # Ctrl-C on a terminal reaches a whole group, and who started it is to pass it on, once.
        start_new_session=True,
        limit=LONGEST_LINE,
    )
    say(f"Worker {process.pid} starts. To see what comes of it: kill -9 {process.pid}")
    return process


async def _follow(process: asyncio.subprocess.Process, stopping: asyncio.Event) -> None:
    copying = asyncio.create_task(_copy(process))
    try:
        code = await process.wait()
        await asyncio.wait([copying], timeout=1)  # who else holds the pipe may hold it for ever
    finally:
        copying.cancel()
    if not stopping.is_set():
        how = f"was killed (signal {-code})" if code < 0 else f"has ended by itself (exit code {code})"
        say(
            f"Worker {process.pid} {how}, and no other is started. Its jobs stay running until their leases run out."
        )


async def _copy(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    with suppress(ValueError):  # a line without an end
        async for line in process.stdout:
            say(f"{dim(str(process.pid))}  {line.decode('utf-8', 'replace').rstrip()}")


def told(parts: "Parts") -> "Parts":
    """The same pieces; what is claimed, finished and reaped is written."""

    @functools.wraps(parts.claim)
    async def claim(app: Any, entries: Any) -> Any:
        jobs = await parts.claim(app, entries)
        for job in jobs:
            say(f"took {_brief(job)}, attempt {job.attempts} of {job.max_attempts}")
        return jobs

    @functools.wraps(parts.finish)
    async def finish(app: Any, job: Any, outcome: Any) -> Any:
        is_ours = await parts.finish(app, job, outcome)
        say(f"{_brief(job)}: {outcome.status if is_ours else 'not ours any more, nothing is written'}")
        return is_ours

    @functools.wraps(parts.reap)
    async def reap(app: Any) -> Any:
        number = await parts.reap(app)
        if number:
            say(
                f"{number} {'lease' if number == 1 else 'leases'} had run out: that attempt is over, and counts"
            )
        return number

    return replace(parts, claim=claim, finish=finish, reap=reap)


def _brief(job: Any) -> str:
    return f"{job.type} {str(job.task_id)[:8]}"


async def _work(settings: "Settings", parts: "Parts") -> None:
    from scheduler.worker.service import running_worker

    async with running_worker(settings, parts) as worker:
        say(f"ready, metrics on port {worker.metrics_port}")
        await asyncio.Event().wait()


def main(arguments: list[str]) -> int:
    """The process of one worker. Returns its exit code."""
    from scheduler import logs
    from scheduler.cli import leaving, services
    from scheduler.cli import running as loop
    from scheduler.cli.failures import Failure, expected
    from scheduler.cli.show import complain, for_any_terminal

    from workbook import mine

    for_any_terminal()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    port, fields = int(arguments[1]), set(arguments[2].split(","))
    try:
        with expected():
            logs.configure()
            services.found_redis()
            settings = services.found_database().model_copy(update={"metrics_port": port})
            parts = told(mine.parts(piece for piece in mine.pieces() if piece.field in fields))
            loop.run(_work(settings, parts), grace_seconds=settings.shutdown_grace_seconds, stop_at_eof=True)
    except Failure as failure:
        complain(str(failure))
        return failure.code
    leaving.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
