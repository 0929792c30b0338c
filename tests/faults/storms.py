"""Storms: one fault after another for a minute each, on a running API and worker: `python -m tests.faults.storms`.

Not part of the tests: with `--seconds 60` it takes a quarter of an hour. Honest jobs run all the while. For each storm
a line says how many of them lost a lease (all, if one has not ended a minute later), how much memory the processes had
at most, how long `/readyz` told something else than the truth, and after how long a new job ran when the storm was
over. Servers are embedded ones of its own.
"""

import asyncio
import os
import random
import resource
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import grpc
import httpx
import psycopg
import typer
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError
from scheduler.config import Settings
from scheduler.embedded.places import made, place_for
from scheduler.embedded.redis import REDIS
from scheduler.embedded.server import free_port
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc

from tests.end_to_end.commands import environment_of
from tests.faults.proxy import Proxy, proxy
from tests.faults.tools import at_port, database_port
from workbook.sandbox import servers

MOST_MIB = 512
PATIENCE = 5.0
"""Seconds within which `/readyz` must tell the truth, and everything must move again."""
SUBMITS_A_SECOND = 4
BOMB = "[" + ",".join(["1e131071"] * 1500) + "]"
BULKY = f'"{"x" * 1_000_000}"'

Storm = Callable[["Stage"], Any]


@dataclass
class Stage:
    """What a storm plays on: the processes, the ways to their services, and what was seen."""

    direct: Settings
    redis: Proxy
    database: Proxy
    stub: "scheduler_pb2_grpc.SchedulerServiceAsyncStub"
    ports: dict[str, int]
    pids: dict[str, int]
    replica_port: int
    ready: list[tuple[float, str, bool]] = field(default_factory=list)

    async def sql(self, statement: str, *parameters: Any) -> list[Any]:
        async with await psycopg.AsyncConnection.connect(
            self.direct.database_conninfo(), autocommit=True, options="-c default_transaction_read_only=off"
        ) as connection:
            cursor = await connection.execute(statement.encode(), parameters)
            return await cursor.fetchall() if cursor.description else []

    async def submit(self, type: str, payload: str = "{}") -> str:
        job = pb.Job(type=type, payload_json=payload, max_attempts=10)
        return str((await self.stub.SubmitJob(pb.SubmitJobRequest(job=job), timeout=5)).job_id)


@dataclass(frozen=True)
class Seen:
    """What came of one storm."""

    name: str
    honest: int
    lost: int
    mebibytes: dict[str, int]
    untrue: float
    moved: float

    @property
    def is_good(self) -> bool:
        return (
            self.lost == 0
            and max(self.mebibytes.values()) <= MOST_MIB
            and self.untrue <= PATIENCE
            and self.moved <= PATIENCE
        )

    def __str__(self) -> str:
        memory = " ".join(f"{name} {size}" for name, size in self.mebibytes.items())
        return (
            f"{'ok  ' if self.is_good else 'BAD '} {self.name:<18} {self.honest:>6} {self.lost:>6}   {memory:<22} "
            f"{self.untrue:>8.1f} s {self.moved:>8.1f} s"
        )


# The storms. Each goes on until it is cancelled, and leaves nothing behind.


async def calm(stage: Stage) -> None:
    await asyncio.Event().wait()


async def payload_bomb(stage: Stage) -> None:
    """Payloads that are small on the way in and huge as text, lists of large ones, and many that run at once."""
    while True:
        await asyncio.gather(*[stage.submit("storm_bulky", BULKY) for _ in range(3)], return_exceptions=True)
        with suppress(grpc.aio.AioRpcError):
            await stage.submit("noop", BOMB)
        with suppress(grpc.aio.AioRpcError):
            await stage.submit("noop", BULKY)
        with suppress(grpc.aio.AioRpcError):
            await stage.stub.ListJobs(pb.ListJobsRequest(page_size=1000), timeout=5)
        await asyncio.sleep(0.2)


async def redis_resets(stage: Stage) -> None:
    """A balancer without a live backend: each connection is reset, soon or late."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await asyncio.sleep(random.choice([0, 0, 0.01, 0.1]))
        writer.transport.abort()

    resetting = await asyncio.start_server(serve, "127.0.0.1", 0)
    home = stage.direct.redis_port
    stage.redis.lead_to(resetting.sockets[0].getsockname()[1])
    try:
        while True:
            await stage.redis.cut()
            await asyncio.sleep(0.5)
    finally:
        stage.redis.lead_to(home)
        resetting.close()


async def frozen_database(stage: Stage) -> None:
    stage.database.stall()
    try:
        await asyncio.Event().wait()
    finally:
        stage.database.resume()


async def read_only_database(stage: Stage) -> None:
    """What a standby does after a failover: it answers, and can't write."""
    name = psycopg.conninfo.conninfo_to_dict(stage.direct.database_conninfo())["dbname"]
    others = "datname = %s AND pid <> pg_backend_pid()"
    end_sessions = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    await stage.sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await stage.sql(end_sessions, name)
    try:
        await asyncio.Event().wait()
    finally:
        await stage.sql(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        await stage.sql(end_sessions, name)


async def locked_row(stage: Stage) -> None:
    """Somebody holds one running row for long. Its own job may suffer, and no other."""
    task_id = await stage.submit("sleep", '{"seconds": 3600}')
    async with await psycopg.AsyncConnection.connect(stage.direct.database_conninfo()) as connection:
        while True:
            lock = "SELECT 1 FROM tasks WHERE task_id = %s AND status = 'running' FOR UPDATE"
            if await (await connection.execute(lock, [task_id])).fetchone():
                break
            await connection.rollback()
            await asyncio.sleep(0.1)
        await asyncio.Event().wait()


async def exhausted_pool(stage: Stage) -> None:
    while True:
        await asyncio.gather(*[stage.submit("storm_greedy") for _ in range(8)], return_exceptions=True)
        await asyncio.sleep(1)


async def redis_failover(stage: Stage) -> None:
    """The roles are swapped now and then. The balancer follows for new connections, and cuts none."""
    ports = [stage.direct.redis_port, stage.replica_port]

    async def lead(ports: list[int]) -> None:
        for port, command in ((ports[0], ("NO", "ONE")), (ports[1], ("127.0.0.1", str(ports[0])))):
            with suppress(RedisError):
                await redis_at(stage.direct, port).execute_command("REPLICAOF", *command)
        stage.redis.lead_to(ports[0])

    home = list(ports)
    try:
        await lead(ports)
        await asyncio.sleep(2)
        while True:
            ports.reverse()
            await lead(ports)
            await asyncio.sleep(8)
    finally:
        await lead(home)


async def forking_handlers(stage: Stage) -> None:
    while True:
        await asyncio.gather(*[stage.submit("storm_forking") for _ in range(3)], return_exceptions=True)
        await asyncio.sleep(0.5)


async def silent_clients(stage: Stage) -> None:
    """Clients that connect to every port, and say nothing."""
    held: list[asyncio.StreamWriter] = []
    try:
        while True:
            for port in stage.ports.values():
                if len(held) < 1_500:
                    with suppress(OSError):
                        held.append((await asyncio.open_connection("127.0.0.1", port))[1])
            await asyncio.sleep(0.02)
    finally:
        for writer in held:
            writer.transport.abort()


STORMS: dict[str, tuple[Storm, bool]] = {
    "calm": (calm, False),
    "payload-bomb": (payload_bomb, False),
    "redis-resets": (redis_resets, False),
    "frozen-database": (frozen_database, True),
    "read-only-database": (read_only_database, True),
    "locked-row": (locked_row, False),
    "exhausted-pool": (exhausted_pool, False),
    "redis-failover": (redis_failover, False),
    "forking-handlers": (forking_handlers, False),
    "silent-clients": (silent_clients, False),
}
"""Each with whether the database is away to those who ask for it, so that nobody is ready."""


# The stage


def redis_at(settings: Settings, port: int) -> "Redis":
    return Redis(host="127.0.0.1", port=port, password=settings.redis_address()["password"])


@asynccontextmanager
async def stage_set() -> AsyncIterator[Stage]:
    """An API and a worker, each in a process, behind proxies to a PostgreSQL and to one of two Redis."""
    async with AsyncExitStack() as stack:
        sandbox = stack.enter_context(stack.enter_context(servers()).sandbox())
        redises = stack.enter_context(two_redises())
        changes = {"redis_port": redises[0], "redis_password": SecretStr(redises[2]), "redis_db": 0}
        direct = sandbox.model_copy(update=changes)
        redis = await stack.enter_async_context(proxy(redises[0]))
        database = await stack.enter_async_context(proxy(database_port(direct)))
        through = at_port(direct, database=database.port, redis=redis.port)
        ports = {name: free_port() for name in ("grpc", "api", "worker")}
        pids = {
            name: await stack.enter_async_context(process(through, name, ports)) for name in ("api", "worker")
        }
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(f"127.0.0.1:{ports['grpc']}", options)
        )
        stub = scheduler_pb2_grpc.SchedulerServiceStub(channel)
        yield Stage(direct, redis, database, stub, ports, pids, redises[1])


class two_redises:
    """Two Redis of our own with one password: their ports, and it."""

    def __init__(self) -> None:
        self._started: list[Any] = []

    def __enter__(self) -> tuple[int, int, str]:
        records = []
        for _ in range(2):
            place = place_for(made(Path(tempfile.mkdtemp(prefix="storm-"))), lambda _: None)
            records.append(REDIS(place, False, lambda _: None).join_or_start(self._started))
        password = records[0].password
        from redis import Redis as SyncRedis

        for record in records:
            with SyncRedis(port=record.port, password=record.password) as redis:
                redis.config_set("masterauth", password)
                redis.config_set("requirepass", password)
        return records[0].port, records[1].port, password

    def __exit__(self, *_: object) -> None:
        for one in self._started:
            one.close()


@asynccontextmanager
async def process(settings: Settings, name: str, ports: dict[str, int]) -> AsyncIterator[int]:
    environment = environment_of(settings) | {
        "GRPC_PORT": str(ports["grpc"]),
        "METRICS_PORT": str(ports[name]),
        "LOG_LEVEL": "error",
        "RECONCILE_AGE_SECONDS": "2",
        "RECONCILE_SECONDS": "1",
        "WORKER_POOL_SIZE": "200",
    }
    command = [sys.executable, "-m", "scheduler", name, "--handlers", "tests.faults.storm_handlers"]
    child = await asyncio.create_subprocess_exec(
        *command, env=environment, start_new_session=True, preexec_fn=spare_the_machine
    )
    try:
        async with asyncio.timeout(60):
            while await readiness(ports[name]) is not True:
                await asyncio.sleep(0.1)
        yield child.pid
    finally:
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(child.wait(), 30)
            except TimeoutError:
                child.kill()
                await child.wait()


def spare_the_machine() -> None:
    """A process that wants more than this has failed already."""
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


async def readiness(port: int) -> bool | None:
    """What `/readyz` says; None if nobody answers."""
    with suppress(httpx.HTTPError):
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            return (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
    return None


# One storm


async def weather(stage: Stage, name: str, seconds: float) -> Seen:
    """Let one storm blow for so long, and see what comes of it."""
    storm, database_is_away = STORMS[name]
    for pid in stage.pids.values():
        forget_the_most(pid)
    honest: list[str] = []
    async with running(watch_readiness(stage)):
        async with running(honest_jobs(stage, honest)):
            await until_honest(stage, "bool_or(status = 'succeeded')")  # a storm finds jobs that run
            began = monotonic()
            async with running(storm(stage)):
                await asyncio.sleep(seconds)
            over = monotonic()
            moved = await until_a_job_runs(stage, over)
            await asyncio.sleep(PATIENCE)
        # What it has done to the last of them is its own doing, and not that of the next storm.
        ended = await until_honest(stage, "bool_and(finished_at IS NOT NULL)")
    untrue = max(
        longest_untrue(
            (at, says_ready is not (database_is_away and began < at < over))
            for at, one, says_ready in stage.ready
            if one == who and at >= began
        )
        for who in stage.pids
    )
    stage.ready.clear()
    [[lost]] = await stage.sql(
        "SELECT count(*) FROM task_attempts JOIN tasks USING (task_id) "
        "WHERE type IN ('storm_healthy', 'storm_bulky') AND error = 'lease expired'"
    )
    if not ended:
        lost += len(honest)
    sizes = {who: most_mebibytes(pid) for who, pid in stage.pids.items()}
    await stage.sql("DELETE FROM task_attempts")
    await stage.sql("DELETE FROM tasks WHERE type = 'storm_healthy'")
    return Seen(name, len(honest), lost, sizes, untrue, moved)


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        if task.done() and (error := task.exception()):
            raise error
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def honest_jobs(stage: Stage, submitted: list[str]) -> None:
    while True:
        with suppress(grpc.aio.AioRpcError):
            submitted.append(await stage.submit("storm_healthy"))
        await asyncio.sleep(1 / SUBMITS_A_SECOND)


async def watch_readiness(stage: Stage) -> None:
    while True:
        for who in stage.pids:
            asked = monotonic()
            stage.ready.append((asked, who, await readiness(stage.ports[who]) is True))
        await asyncio.sleep(0.2)


def longest_untrue(answers: Iterable[tuple[float, bool]]) -> float:
    """The longest time for which a process said what was not so, or nothing: from one such answer to the next true one.

    An answer is when it was asked for, and whether it was true.
    """
    most = 0.0
    since: float | None = None
    for at, is_true in answers:
        if since is None and not is_true:
            since = at
        if since is not None:
            most = max(most, at - since)
        if is_true:
            since = None
    return most


async def until_a_job_runs(stage: Stage, since: float) -> float:
    """Seconds until a new job has succeeded; as long as it takes, up to a minute."""
    while monotonic() < since + 60:
        with suppress(grpc.aio.AioRpcError):
            task_id = await stage.submit("noop")
            async for event in stage.stub.WatchJob(pb.WatchJobRequest(job_id=task_id), timeout=30):
                if event.state == pb.JOB_STATE_SUCCEEDED:
                    return monotonic() - since
        await asyncio.sleep(0.1)
    return float("inf")


async def until_honest(stage: Stage, what: str) -> bool:
    """Whether this aggregate was true of the honest jobs within a minute."""
    for _ in range(600):
        [[is_so]] = await stage.sql(f"SELECT {what} FROM tasks WHERE type = 'storm_healthy'")
        if is_so:
            return True
        await asyncio.sleep(0.1)
    return False


def most_mebibytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024


def forget_the_most(pid: int) -> None:
    """Let the kernel count anew."""
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")


async def blow(names: list[str], seconds: float) -> bool:
    print(f"     {'storm':<18} honest   lost   MiB at most            untrue     moves again")
    good = True
    async with stage_set() as stage:
        for name in names:
            seen = await weather(stage, name, seconds)
            print(seen, flush=True)
            good = good and seen.is_good
    return good


def main(
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long each storm lasts.")] = 60,
    only: Annotated[str | None, typer.Option(help=f"Some of them: {', '.join(STORMS)}.")] = None,
) -> None:
    """Let storms blow, and say what came of each. Exit code 1: something was not as it should be."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    names = only.split(",") if only else list(STORMS)
    if unknown := set(names) - set(STORMS):
        raise typer.BadParameter(f"there is no storm {', '.join(unknown)}")
    if not asyncio.run(blow(names, seconds)):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
