"""A scheduler as a notebook sees it: calls, queries, queues, watches and workers, each a plain function call."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    suppress,
)
from functools import cache, partial
from threading import Lock
from typing import Any
from uuid import UUID

import grpc
import pandas as pd
import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pandas import DataFrame
from psycopg.rows import DictRow, dict_row
from redis import Redis
from scheduler.app import App
from scheduler.config import Settings
from scheduler.jobs import TERMINAL, Priority
from scheduler.parts import Parts
from scheduler.server import running_api
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc
from scheduler.worker.service import RunningWorker, running_worker

from workbook.loop import LoopThread
from workbook.notebook.history import HISTORY, STATEMENTS, history_frame
from workbook.notebook.page import NotebookError
from workbook.notebook.quiet import be_quiet

CALL_SECONDS = 15.0
WAIT_SECONDS = 60.0
SHORT = 8
"""So many characters of a job's id tell it from the others in a table or a plot."""


class CallFailed(NotebookError):
    """An RPC did not answer with OK. `code` is the gRPC code's name."""

    def __init__(self, method: str, code: str, details: str) -> None:
        super().__init__(f"{method} answered {code}: {details}")
        self.code = code


class Countdown:
    """Calls `then` in the thread that is the last of so many to count."""

    def __init__(self, number: int, then: Callable[[], Any]) -> None:
        self._left = number
        self._lock = Lock()
        self._then = then

    def count(self) -> None:
        with self._lock:
            self._left -= 1
            is_last = self._left == 0
        if is_last:
            self._then()


class System:
    """A scheduler to look at. Make one with `connect`.

    `redis` is a client that speaks text, and `app`, in an own system, what every piece of the scheduler gets.
    """

    def __init__(self, settings: Settings, description: str, is_joined: bool) -> None:
        self.settings = settings
        self.description = description
        self.is_joined = is_joined
        """Whether it was there before this notebook, and goes on without it."""
        self._open = ExitStack()
        self._db: psycopg.Connection[DictRow] = self._open.enter_context(
            psycopg.connect(
                settings.database_conninfo(),
                autocommit=True,
                row_factory=dict_row,
                connect_timeout=3,
                client_encoding="UTF8",
            )
        )
        self._db.execute("SET datestyle TO 'ISO'")  # psycopg reads times in this form alone
        self.redis: Any = self._open.enter_context(
            Redis(**settings.redis_address(), decode_responses=True, socket_timeout=10)
        )
        self._loop: LoopThread | None = None
        self._api = AsyncExitStack()
        self._app: App | None = None
        self._channel: grpc.Channel | None = None
        self._metrics_ports: dict[str, int] = {}
        self._workers: list[WorkerThread | WorkerProcess] = []

    @classmethod
    def joined(cls, settings: Settings, address: str) -> "System | None":
        """The system whose API is at `address`; None if nobody serves there, or on another database than this one.

        Raises what a database or a Redis raises that is away.
        """
        channel = grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)])
        if not _is_healthy(channel):
            channel.close()
            return None
        system = cls(settings, f"Joined the system that runs: its API is at {address}.", is_joined=True)
        system._use(channel)
        if not system._is_one():
            system.close()
            return None
        port = settings.metrics_port or 2112
        system._metrics_ports = {"API": port, "worker": port + 1}
        return system

    @classmethod
    def own(cls, sandbox: AbstractContextManager[Settings], parts: Parts) -> "System":
        """A system with its API in this process, in a sandbox that ends with it."""
        be_quiet()
        with ExitStack() as stack:
            settings = stack.enter_context(sandbox)
            system = cls(settings, "A system of this notebook's own.", is_joined=False)
            system._open.push(stack.pop_all())
        try:
            system._serve(parts)
        except BaseException:
            system.close()
            raise
        return system

    def close(self) -> None:
        """End what this notebook started for it, and disconnect. A joined system goes on."""
        for worker in list(self._workers):
            worker.kill() if isinstance(worker, WorkerProcess) else worker.stop()
        if self._channel is not None:
            self._channel.close()
        # The servers may be gone by now, and the sandbox with them: then there is nothing to tidy up.
        with suppress(Exception):
            if self._loop is not None:
                self._loop.run(self._api.aclose(), CALL_SECONDS, "stopping the API")
        if self._loop is not None:
            self._loop.close()
        with suppress(Exception):
            self._open.close()

    # -- as a client

    def call(self, method: str, **fields: Any) -> Any:
        """Call an RPC by its name, and return its answer. Raises `CallFailed`."""
        try:
            return self._stub_of(method)(self._request(method, fields), timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            raise _failed(method, error) from None

    def submit(
        self,
        type: str = "noop",
        number: int = 1,
        *,
        priority: str = "default",
        payload: Any = None,
        max_attempts: int = 3,
    ) -> list[str]:
        """Submit so many jobs of one kind, and return their ids. `payload` is what JSON can say."""
        job = pb.Job(
            type=type,
            priority=pb.Priority.Value(f"PRIORITY_{Priority(priority).name}"),
            payload_json=json.dumps(payload if payload is not None else {}),
            max_attempts=max_attempts,
        )
        ids: list[str] = []
        for start in range(0, number, 1000):
            answer = self.call("SubmitJobs", jobs=[job] * min(1000, number - start))
            ids += answer.job_ids
        return ids

    def cancel(self, job_id: str) -> bool:
        """Cancel a job. False says that it had ended already."""
        return bool(self.call("CancelJob", job_id=job_id).cancelled)

    def watch(
        self, *job_ids: str, after_version: int = 0, begun: Callable[[], Any] = lambda: None
    ) -> DataFrame:
        """Watch jobs to their ends, and return every event that came, a row each.

        `begun` is called when the first event of every job has come: what is done then is watched, however slow this
        machine is. With `after_version`, events come from the first above that version on.

        `t` is when the state changed, and `seen` when the event was here, both in seconds since the first event.
        """
        first = Countdown(len(job_ids), begun)
        with ThreadPoolExecutor(max(1, len(job_ids))) as threads:
            streams = threads.map(partial(self._watch_one, after_version, first), job_ids)
        events = pd.DataFrame(
            [event for stream in streams for event in stream],
            columns=["job", "version", "state", "attempts", "message", "t", "seen"],
        )
        began = events["t"].min()
        events["t"] -= began
        events["seen"] -= began
        return events.sort_values(["t", "version"], ignore_index=True)

    def wait(self, job_ids: Iterable[str], seconds: float = WAIT_SECONDS) -> None:
        """Wait until these jobs have ended. Raises `NotebookError` if one has not after so many seconds."""
        ids = [UUID(job_id) for job_id in job_ids]
        left = "SELECT count(*) AS n FROM tasks WHERE task_id = ANY(%s) AND NOT status = ANY(%s)"
        self.until(
            lambda: self._db.execute(left, [ids, list(map(str, TERMINAL))]).fetchall()[0]["n"] == 0,
            "these jobs have ended",
            seconds,
        )

    def until(self, look: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> None:
        """Look again and again until `look` gives something true. Raises `NotebookError` with `what` if it does not."""
        end = time.monotonic() + seconds
        while not look():
            if time.monotonic() > end:
                raise NotebookError(f"Waited {seconds:g} s in vain until {what}.")
            time.sleep(0.01)

    # -- looking inside

    def sql(self, query: str, *params: Any) -> DataFrame:
        """Run a statement, and return its rows. Raises `NotebookError` with the database's words if it refuses."""
        try:
            cursor = self._db.execute(query.encode(), params or None)
        except psycopg.Error as error:
            raise NotebookError(f"The database refused: {str(error).strip()}") from None
        rows = cursor.fetchall() if cursor.description else []
        columns = [column.name for column in cursor.description or []]
        return pd.DataFrame([[_plain(row[name]) for name in columns] for row in rows], columns=columns)

    def refused(self, query: str, *params: Any) -> str:
        """Run a statement that the database should refuse, and return its words; nothing changes either way."""
        try:
            with self._db.transaction(force_rollback=True):
                self._db.execute(query.encode(), params or None)
        except psycopg.Error as error:
            return error.diag.message_primary or str(error)
        return "The database did not refuse."

    def explain(self, query: str, *params: Any) -> dict[str, Any]:
        """Run a query with EXPLAIN ANALYZE: how long it took, how many rows it read, and the plan in words."""
        plan = self._db.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}".encode(), params or None).fetchall()
        top = plan[0]["QUERY PLAN"][0]
        nodes = list(_nodes(top["Plan"]))
        leaf = nodes[-1]
        rows = leaf["Actual Rows"] * leaf["Actual Loops"] + leaf.get("Rows Removed by Filter", 0)
        steps = [f"{node['Node Type']} {node.get('Index Name', '')}".strip() for node in nodes]
        return {"ms": top["Execution Time"], "rows read": int(rows), "plan": " ← ".join(steps)}

    def jobs(self, limit: int = 20) -> DataFrame:
        """The newest jobs of the database."""
        rows = self.sql(
            """SELECT task_id AS job, type, priority, status AS state, attempts, max_attempts, version, last_error
            FROM tasks ORDER BY created_at DESC, task_id DESC LIMIT %s""",
            limit,
        )
        rows["job"] = rows["job"].str[:SHORT]
        rows["attempts"] = [
            f"{one} of {most}" for one, most in zip(rows["attempts"], rows["max_attempts"], strict=True)
        ]
        rows["last_error"] = rows["last_error"].fillna("")
        return rows.drop(columns="max_attempts")

    def queues(self) -> DataFrame:
        """The four queues: how many entries each has, and the job that comes out next."""
        rows = [
            (priority, len(entries), entries[0][:SHORT] if entries else "")
            for priority, entries in ((str(priority), self.entries(str(priority))) for priority in Priority)
        ]
        return pd.DataFrame(rows, columns=["priority", "entries", "next out"])

    def entries(self, priority: str) -> list[str]:
        """The job ids in one queue, the one that comes out next first."""
        found = self.redis.lrange(f"{self.settings.redis_prefix}q:{priority}", 0, -1)
        return [_job_id(entry) for entry in reversed(found)]

    def keep_history(self) -> None:
        """From now on, remember every version of every row: see `history`. In an own system only: it adds a trigger."""
        self._require_own("keep_history")
        for statement in STATEMENTS:
            self._db.execute(statement.encode())

    def history(self, *job_ids: str) -> DataFrame:
        """What became of these jobs (or of all), change by change, heartbeats among them. `keep_history` comes first.

        `t` is in seconds since the first change, and `lease` the seconds that the lease had left then.
        """
        ids = [UUID(job_id) for job_id in job_ids]
        rows = self._db.execute(HISTORY.encode(), [ids, not ids]).fetchall()
        return history_frame(rows)

    # -- pieces and workers

    @property
    def app(self) -> App:
        """What every piece gets as its first argument."""
        self._require_own("app")
        assert self._app is not None
        return self._app

    @property
    def parts(self) -> Parts:
        """The pieces that this system is made of."""
        return self.app.parts

    def run(self, piece: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Run a piece, or a coroutine function of your own, with the app as its first argument; return its answer."""
        return self.start(piece, *args).result(WAIT_SECONDS)

    def start(self, piece: Callable[..., Awaitable[Any]], *args: Any) -> "Future[Any]":
        """Begin a piece, and go on; `.result()` waits for its answer."""
        app = self.app
        assert self._loop is not None

        async def work() -> Any:
            return await piece(app, *args)

        return self._loop.start(work())

    def start_worker(self, *, parts: Parts | None = None, **settings: Any) -> "WorkerThread":
        """Start a worker beside the API, in this process. `.stop()` ends it in order; so does the notebook's end."""
        self._require_own("start_worker")
        assert self._loop is not None
        # Through from_environment, so that settings are checked, and each worker has its own.
        own = self.settings.from_environment(**{**self.settings.model_dump(), **settings})
        worker = WorkerThread(self, self._loop, running_worker(own, parts or self.parts))
        self._workers.append(worker)
        return worker

    def start_worker_process(self, **settings: Any) -> "WorkerProcess":
        """Start a worker in a process of its own, which may be killed. It ends with the notebook at the latest."""
        self._require_own("start_worker_process")
        before = self._waiting_workers()
        worker = WorkerProcess(self.settings, settings)
        self._workers.append(worker)
        self.until(
            lambda: worker.has_ended or self._waiting_workers() > before, "the worker asked for jobs", 30
        )
        if worker.has_ended:
            raise NotebookError("The worker's process ended before it worked.")
        return worker

    @property
    def metrics_urls(self) -> dict[str, str]:
        """Where Prometheus would find the metrics of each process."""
        ports = dict(self._metrics_ports)
        threads = [worker for worker in self._workers if isinstance(worker, WorkerThread)]
        for number, worker in enumerate(threads, 1):
            ports["worker" if len(threads) == 1 else f"worker {number}"] = worker.metrics_port
        return {name: f"http://127.0.0.1:{port}/metrics" for name, port in ports.items()}

    # -- inside

    def _serve(self, parts: Parts) -> None:
        self._loop = LoopThread(set())
        api = self._loop.run(
            self._api.enter_async_context(running_api(self.settings, parts)),
            CALL_SECONDS,
            "starting the API",
        )
        self._app = api.app
        self._metrics_ports = {"API": api.metrics_port}
        self._use(grpc.insecure_channel(f"127.0.0.1:{api.port}", [("grpc.enable_http_proxy", 0)]))

    def _use(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._stub: Any = scheduler_pb2_grpc.SchedulerServiceStub(channel)

    def _stub_of(self, method: str) -> Any:
        return getattr(self._stub, method)

    def _request(self, method: str, fields: dict[str, Any]) -> Any:
        descriptor = pb.DESCRIPTOR.services_by_name["SchedulerService"].methods_by_name[method]
        return getattr(pb, descriptor.input_type.name)(**fields)

    def _watch_one(self, after_version: int, first: "Countdown", job_id: str) -> list[tuple[Any, ...]]:
        events: list[tuple[Any, ...]] = []
        has_come = cache(first.count)
        try:
            request = pb.WatchJobRequest(job_id=job_id, after_version=after_version)
            for event in self._stub.WatchJob(request, timeout=WAIT_SECONDS):
                state = pb.JobState.Name(event.state).removeprefix("JOB_STATE_").lower()
                changed = event.timestamp.seconds + event.timestamp.nanos / 1e9
                events.append(
                    (
                        job_id[:SHORT],
                        event.version,
                        state,
                        event.attempts,
                        event.message,
                        changed,
                        time.time(),
                    )
                )
                has_come()
        except grpc.RpcError as error:
            raise _failed("WatchJob", error) from None
        finally:
            has_come()  # one that has nothing to say, or fails, is waited for no longer
        return events

    def _is_one(self) -> bool:
        """Whether the API serves this very database: its newest job must be here, or neither may have one."""
        jobs = self.call("ListJobs", page_size=1).jobs
        if not jobs:
            return self._db.execute("SELECT 1 FROM tasks LIMIT 1").fetchone() is None
        return (
            self._db.execute("SELECT 1 FROM tasks WHERE task_id = %s", [UUID(jobs[0].job_id)]).fetchone()
            is not None
        )

    def _waiting_workers(self) -> int:
        """How many clients of this Redis index wait in a blocking pop."""
        return sum(
            "b" in client["flags"] and int(client["db"]) == self.settings.redis_db
            for client in self.redis.client_list()
        )

    def end_waiting_pops(self) -> None:
        """End the pops that wait in this Redis index, as if their second were over: a stopping worker waits for it."""
        for client in self.redis.client_list():
            if "b" in client["flags"] and int(client["db"]) == self.settings.redis_db:
                self.redis.client_unblock(int(client["id"]))

    def _require_own(self, name: str) -> None:
        if self.is_joined:
            raise NotebookError(f"{name} needs a system of one's own: nb.connect(own=True).")


class WorkerThread:
    """A worker in this process, beside the API."""

    def __init__(
        self, system: System, loop: LoopThread, running: AbstractAsyncContextManager[RunningWorker]
    ) -> None:
        self._system = system
        self._loop = loop
        self._stack = AsyncExitStack()
        worker = loop.run(self._stack.enter_async_context(running), CALL_SECONDS, "starting the worker")
        self.app: App = worker.app
        self.metrics_port: int = worker.metrics_port
        self._is_over = False

    def stop(self) -> None:
        """Stop in order: take nothing more, let the jobs end or give them back, and return."""
        if self._is_over:
            return
        self._is_over = True
        self._system._workers.remove(self)
        stopping = self._loop.start(self._stack.aclose())
        while not stopping.done():
            self._system.end_waiting_pops()
            time.sleep(0.02)
        stopping.result()


class WorkerProcess:
    """`scheduler worker`, in a process of its own."""

    def __init__(self, base: Settings, changes: dict[str, Any]) -> None:
        settings = base.from_environment(**{**base.model_dump(), "metrics_port": 0, **changes})
        password = settings.redis_address()["password"]
        names = {"database_url", "redis_password"}
        plain = settings.model_dump(exclude=names, exclude_none=True)
        environment = {name.upper(): _word(value) for name, value in plain.items()}
        environment |= {"DATABASE_URL": settings.database_conninfo(), "REDIS_PASSWORD": password or ""}
        # --child: it ends when the pipe to its standard input closes, however this process ends.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scheduler", "worker", "--child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )

    @property
    def pid(self) -> int:
        """Its number, as `kill` takes it."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """Kill it, as `kill -9` does: at once, without a word, whatever it is at."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()


def _is_healthy(channel: grpc.Channel) -> bool:
    try:
        answer = _health(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _health(channel: grpc.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


def _failed(method: str, error: Any) -> CallFailed:
    return CallFailed(method, error.code().name, error.details() or "no details")


def _nodes(plan: dict[str, Any]) -> Iterable[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _job_id(entry: str) -> str:
    try:
        return str(json.loads(entry)["task_id"])
    except (ValueError, KeyError, TypeError):
        return f"no entry: {entry[:20]}"
