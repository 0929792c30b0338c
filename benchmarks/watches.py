"""From commit to event with thousands of watches open: `python -m benchmarks.watches --watches 10000`.

One `scheduler api` process, this process as its client, and one job each watch. Jobs are changed one at a time, at
random; a change is a commit and, as a worker tells it, a hint. With `--no-hints`, only the poll is left.
"""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import Annotated
from uuid import UUID

import grpc
import psycopg
import typer
from redis.asyncio import Redis
from scheduler.config import Settings
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc

from benchmarks.visit import ROOT, benchmark_servers, environment

STREAMS_A_CHANNEL = 500
INSERT = """
    INSERT INTO tasks (task_id, type) SELECT gen_random_uuid(), 'noop' FROM generate_series(1, %s) RETURNING task_id
"""
CHANGE = "UPDATE tasks SET version = version + 1, updated_at = now() WHERE task_id = %s RETURNING version"


class Watches:
    """Streams that note when an event comes."""

    def __init__(self) -> None:
        self.began = 0
        self._came: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        self._streams: list[asyncio.Task[None]] = []

    def open(self, stub: "scheduler_pb2_grpc.SchedulerServiceAsyncStub", task_id: UUID) -> None:
        self._streams.append(asyncio.create_task(self._follow(stub, task_id)))

    async def until_open(self, number: int) -> None:
        while self.began < number:
            for stream in self._streams:
                if stream.done():
                    stream.result()
            await asyncio.sleep(0.05)

    def note(self, job_id: str, version: int) -> None:
        """An event has come."""
        self._came[job_id].append((version, time.monotonic()))

    def came(self, job_id: str, version: int) -> float:
        """When this change was seen. An event may leave states out, and then tells of all that it has left out."""
        return next((at for seen, at in self._came[job_id] if seen >= version), float("inf"))

    async def close(self) -> None:
        for stream in self._streams:
            stream.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)

    async def _follow(self, stub: "scheduler_pb2_grpc.SchedulerServiceAsyncStub", task_id: UUID) -> None:
        first = True
        async for event in stub.WatchJob(pb.WatchJobRequest(job_id=str(task_id))):
            self.note(event.job_id, event.version)
            self.began += first
            first = False


@asynccontextmanager
async def channels(
    number: int, port: int
) -> AsyncIterator[list["scheduler_pb2_grpc.SchedulerServiceAsyncStub"]]:
    """Clients with a connection each: one connection has room for some hundred streams."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    opened = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) for _ in range(number)]
    try:
        yield [scheduler_pb2_grpc.SchedulerServiceStub(channel) for channel in opened]
    finally:
        for channel in opened:
            await channel.close()


async def measure(
    settings: Settings, port: int, watches: int, seconds: float, rate: float, hints: bool
) -> list[float]:
    """Milliseconds from commit to event, one for each change; a change whose event never came counts as infinite."""
    database = await psycopg.AsyncConnection.connect(settings.database_conninfo(), autocommit=True)
    async with database, Redis(**settings.redis_address()) as redis:
        rows = await (await database.execute(INSERT, [watches])).fetchall()
        task_ids = [row[0] for row in rows]
        async with channels(-(-watches // STREAMS_A_CHANNEL), port) as stubs:
            following = Watches()
            await _until_serving(stubs[0])
            for number, task_id in enumerate(task_ids):
                following.open(stubs[number % len(stubs)], task_id)
            await following.until_open(watches)
            changed = {}
            for _ in range(int(seconds * rate)):
                task_id = random.choice(task_ids)
                row = await (await database.execute(CHANGE, [task_id])).fetchone()
                assert row is not None
                changed[str(task_id), row[0]] = time.monotonic()
                if hints:
                    await redis.publish(f"job:{task_id}", "changed")
                await asyncio.sleep(random.expovariate(rate))
            await asyncio.sleep(3)
            await following.close()
    return [(following.came(*change) - at) * 1000 for change, at in changed.items()]


async def _until_serving(stub: "scheduler_pb2_grpc.SchedulerServiceAsyncStub") -> None:
    while True:
        try:
            await stub.ListJobs(pb.ListJobsRequest(page_size=1), wait_for_ready=True, timeout=30)
            return
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.1)


def main(
    watches: Annotated[int, typer.Option(min=1, max=50_000)] = 10_000,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long jobs are changed.")] = 20,
    rate: Annotated[float, typer.Option(min=0.1, max=1_000, help="Changes a second.")] = 20,
    hints: Annotated[bool, typer.Option(help="Whether changes are hinted at, as a worker does.")] = True,
) -> None:
    """Measure how long events take with many watches open."""
    with benchmark_servers() as running, running.sandbox() as settings:
        surroundings = environment(settings) | {"MAX_WATCHES": "100000", "LOG_LEVEL": "warning"}
        api = subprocess.Popen([sys.executable, "-m", "scheduler", "api"], cwd=ROOT, env=surroundings)
        try:
            port = int(surroundings["GRPC_PORT"])
            took = asyncio.run(measure(settings, port, watches, seconds, rate, hints))
        finally:
            api.terminate()
            api.wait()
    cut = quantiles(took, n=100)
    typer.echo(
        f"{watches} watches, {len(took)} changes: p50 {cut[49]:.1f} ms, p90 {cut[89]:.1f} ms, p99 {cut[98]:.1f} ms, "
        f"longest {max(took):.1f} ms; {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    typer.run(main)
