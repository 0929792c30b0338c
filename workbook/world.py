"""A whole scheduler for one test: a server made of the code under test and the reference, in a thread of its own.

world.call("GetJob", job_id=…)          an RPC over a real connection, and its answer
world.begin("CancelJob", job_id=…)      an RPC that goes on beside the test; `.result()` waits for its answer
world.ask("GetJob", job_id=…)           an RPC whose client may `.leave()`
world.stream("WatchJob", job_id=…)      a stream: next, nothing_for, end, leave
world.run(code.claim, entries)          a piece itself, with `app` as its first argument
world.insert(status="running")          a row that the constraints allow, whatever its status
world.update(job, status="succeeded")   one more version of a row, as another process would write it
world.row(task_id)                      what the database has now
world.redis                             a plain client of this test's Redis index
world.handler("slow", function)         what jobs of this type run, in this world alone
world.put(take=function)                another piece in the place of one, for the worker to reach
world.scrape()                          what the server's metrics port shows
world.turns()                           what need not wait goes on, in the loop of the code under test
with world.locked(job, …) as lock:      a change in an open transaction: how races are made
with world.inserting(…) as (job, lock): a new row in an open transaction
with world.first_read_held() as (…):    what the code under test asks of the database first is answered late
with world.door_closed():               calls wait, and then the code under test sees them in one turn of its loop
with world.database_raises(error):      what the server asks of the database fails so
with world.before_redis(function):      this comes before each thing that is asked of Redis
with world.after_redis(function):       this comes when Redis has answered, and before who asked goes on
"""

import asyncio
import linecache
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from http.client import HTTPConnection
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import grpc
import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.string import TextLoader
from pydantic import SecretStr
from redis import Redis
from scheduler.app import App, open_app
from scheduler.config import Settings
from scheduler.jobs import Job, Status
from scheduler.parts import Parts, reference
from scheduler.server import running_api
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc
from scheduler.worker.handlers import Handler, Handlers, handlers

from workbook import rows
from workbook.book import Chapter
from workbook.hurry import held
from workbook.loader import Code
from workbook.loop import Hang, LoopThread
from workbook.patience import stretched
from workbook.proxy import Proxy
from workbook.recorder import CALL, Recorder, within_a_piece
from workbook.redis_world import after_each_command, before_each_command
from workbook.stream import WITHIN, RpcFailed, Stream, brief
from workbook.watchdog import Place, short


class World:
    """See the top of this file. Make one with `opened`."""

    def __init__(
        self,
        code: Code,
        parts: Parts,
        recorder: Recorder,
        loop: LoopThread,
        settings: Settings,
        can_go_away: Sequence[str] = (),
    ) -> None:
        self.code = code
        self.settings = settings
        self.proxies: dict[str, Proxy] = {}
        """What can be cut, by its name: `world.proxies["redis"].cut()`."""
        self._seen_by_code = self._through_proxies(can_go_away)
        self.notes: list[str] = []
        """What this test asked over gRPC, and what it was answered."""
        self._recorder = recorder
        self._loop = loop
        self._parts = parts
        self._open = AsyncExitStack()
        self._streams: list[Stream] = []
        self._workers: list[WorkerUnderTest] = []
        self.redis: Any = Redis(
            host=settings.redis_host or "",
            port=settings.redis_port,
            db=settings.redis_db,
            password=settings.redis_address()["password"],
        )
        self._db = self._connect()
        self._app: App | None = None
        self._channel: grpc.Channel | None = None
        self._metrics_port = 0

    # -- calling the code under test

    @property
    def app(self) -> App:
        """The app that pieces get. The first use opens it."""
        if self._app is None:
            self._app = self._run(
                self._open.enter_async_context(open_app(self._seen_by_code, self._parts)), "opening the app"
            )
        return self._app

    def run(self, piece: Callable[..., Any], *args: Any, within: float = WITHIN) -> Any:
        """Run a piece of the code under test to its end, and return what it returns."""
        return self.start(piece, *args).result(within)

    def start(self, piece: Callable[..., Any], *args: Any) -> "Running":
        """Begin a piece of the code under test; `.result(within)` waits for its end."""
        app = self.app
        name = getattr(piece, "__name__", str(piece))

        async def work() -> Any:
            answer = piece(app, *args)
            return await answer if hasattr(answer, "__await__") else answer

        return Running(self._loop, self._loop.start(work()), name)

    def call(self, method: str, within: float = WITHIN, **fields: Any) -> Any:
        """Call an RPC. Raises `RpcFailed`, or the mistake that the code under test made."""
        stub, request = self._request(method, fields)
        within = stretched(within)
        name = uuid4().hex
        try:
            answer = stub(request, timeout=within, metadata=[(CALL, name)])
        except grpc.RpcError as error:
            self._note(method, fields, f"{error.code().name}: {error.details()}")
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise Hang(
                    self._loop.blocking_line() or f"{method} did not answer within {within:g} s"
                ) from None
            self._wait_for_the_end(name, f"{method} was answered with {error.code().name}")
            self._recorder.raise_first()
            raise RpcFailed.of(error, f"{method}({_told(fields)})") from None
        self._note(method, fields, brief(answer))
        self._wait_for_the_end(name, f"{method} was answered")
        self._recorder.raise_first()
        return answer

    def _wait_for_the_end(self, call: str, answered: str) -> None:
        """An aborted call has its answer before the code under test has ended, and is judged when it has."""
        within = stretched(WITHIN)
        end = time.monotonic() + within
        while self._recorder.is_at_work(call):
            if time.monotonic() > end:
                raise Hang(
                    self._loop.blocking_line()
                    or f"{answered}, and your code for it did not end within {within:g} s"
                )
            time.sleep(0.001)

    def begin(self, method: str, **fields: Any) -> "Calling":
        """Begin an RPC; `.result(within)` waits for its end, and gives or raises what `call` would."""
        self._stub()  # the server is there before the call's thread asks for it
        return Calling(lambda within: self.call(method, within, **fields))

    def ask(self, method: str, **fields: Any) -> "Asking":
        """Begin an RPC as a client that may go away."""
        stub, request = self._request(method, fields)
        name = uuid4().hex
        call = stub.future(request, timeout=stretched(4 * WITHIN), metadata=[(CALL, name)])
        return Asking(call, lambda: self._wait_for_the_end(name, f"the client of a {method} is gone"))

    def calls_at_work(self) -> int:
        """How many calls the code under test works on just now."""
        return self._recorder.calls_at_work()

    def serve(self) -> None:
        """Start the server, if no call has: from now on `world.app` is its own."""
        self._stub()

    def stream(self, method: str, **fields: Any) -> "Stream":
        """Begin a streaming RPC."""
        return self._begin_stream(method, fields)

    def stream_with_deadline(self, method: str, seconds: float, **fields: Any) -> "Stream":
        """Begin a streaming RPC whose client waits for so long at most."""
        return self._begin_stream(method, fields, timeout=seconds)

    def slow_stream(self, method: str, **fields: Any) -> tuple["Stream", asyncio.Event]:
        """Begin a streaming RPC whose client takes one event, and no more until the event is let go."""
        name, taken = uuid4().hex, self.event()
        self._recorder.slow[name] = taken
        return self._begin_stream(method, fields, metadata=[(CALL, name)]), taken

    def worker(self) -> "WorkerUnderTest":
        """The code's `Worker`, running. The end of the test stops it, if the test has not."""
        worker = WorkerUnderTest(self, self.code.Worker(self.app))
        self._workers.append(worker)
        return worker

    def handler(self, type: str, function: Handler) -> None:
        """Let jobs of this type run `function(app, job)`, in this world alone. Call it before `worker`."""
        if self.app.handlers is handlers:
            own = Handlers()
            for given in handlers:
                own(given)(handlers.run)
            self._app = replace(self.app, handlers=own)
        self.app.handlers(type)(function)

    def put(self, **pieces: Any) -> None:
        """Put other pieces into `app.parts`. Call it before `worker`."""
        self._app = replace(self.app, parts=replace(self.app.parts, **pieces))

    # -- the state of the system

    def sql(self, statement: str, *params: Any) -> list[DictRow]:
        """Run one statement, in autocommit."""
        cursor = self._db.execute(statement.encode(), params)
        return cursor.fetchall() if cursor.description else []

    def insert(self, status: str = "queued", **columns: Any) -> Job:
        """A new row that the constraints allow; `columns` win over what its status needs."""
        values = {"task_id": uuid4(), "type": "noop", **rows.columns(Status(status)), **columns}
        return self._job(rows.insert(values), values)

    def insert_all(self, columns: Iterable[dict[str, Any]]) -> None:
        """New rows as `insert` makes them, in one statement."""
        all_values = [{"type": "noop", **rows.columns(Status(one["status"])), **one} for one in columns]
        if all_values:
            self.sql(*rows.insert_all(all_values))

    def empty(self) -> datetime:
        """Delete all rows. Returns the database's time, as it was before that."""
        cursor = self._db.execute("SELECT now(); DELETE FROM task_attempts; DELETE FROM tasks")
        [row] = cursor.fetchall()
        now: datetime = row["now"]
        return now

    def update(self, job: Job, status: str, hint: bool = False, **columns: Any) -> Job:
        """Change a row as another process would: a new version, and with `hint` also the wake-up on `job:{id}`."""
        changed = self._job(*rows.update(job, status, columns))
        if hint:
            self.redis.publish(f"job:{job.task_id}", "changed")
        return changed

    def row(self, task_id: UUID) -> Job | None:
        """The row as it is now."""
        rows = self.sql("SELECT * FROM tasks WHERE task_id = %s", task_id)
        return Job.from_row(rows[0]) if rows else None

    def attempts(self, task_id: UUID) -> list[DictRow]:
        """The rows of `task_attempts`, in order."""
        return self.sql("SELECT * FROM task_attempts WHERE task_id = %s ORDER BY attempt", task_id)

    def waiting_pops(self) -> list[int]:
        """The clients that wait in a blocking pop of this test's Redis index."""
        clients = self.redis.client_list()
        return [
            int(client["id"])
            for client in clients
            if int(client["db"]) == self.settings.redis_db and "b" in client["flags"]
        ]

    def end_waiting_pops(self) -> None:
        """End every blocking pop that waits now, as if its time were up, so that no test waits for that."""
        for client in self.waiting_pops():
            self.redis.client_unblock(client)

    def scrape(self) -> str:
        """The page that Prometheus gets from the server's metrics port."""
        self._stub()
        connection = HTTPConnection("127.0.0.1", self._metrics_port, timeout=stretched(WITHIN))
        with closing(connection):
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()

    def until(self, look: Callable[[], Any], what: str, within: float = WITHIN) -> Any:
        """Look again and again until `look` gives something true. Raises the code's mistake, or `Hang` with `what`."""
        within = stretched(within)
        end = time.monotonic() + within
        while not (found := look()):
            self._recorder.raise_first()
            if self._loop.goes_round or time.monotonic() > end:
                raise Hang(self._loop.blocking_line() or f"waited {within:g} s in vain until {what}")
            time.sleep(0.005)
        return found

    def turns(self, number: int = 10) -> None:
        """Let the event loop of the code under test go round so many times: what need not wait has gone on by then."""

        async def go_round() -> None:
            for _ in range(number):
                await asyncio.sleep(0)

        self._run(go_round(), "a few turns of the event loop")

    def lose_database(self, wait_seconds: float) -> None:
        """The database goes away: it is cut off, and who wants a connection to it waits no longer than this.

        Until now everybody waited as long as the settings say, for a machine may be slow to connect, and to serve.
        """
        self.run(_connected)
        for database in (self.app.db, self.app.guest_db):
            database._pool.timeout = wait_seconds
        self.proxies["database"].cut()

    def jump(self, seconds: float) -> None:
        """Let the clock of that loop jump ahead: what waited for less has waited long enough, and goes on."""
        self._loop.jump(seconds)
        self.turns()

    def event(self) -> asyncio.Event:
        """An event for that loop; `let_go` sets it from here."""
        return asyncio.Event()

    def let_go(self, event: asyncio.Event) -> None:
        """Let whatever waits for this event go on."""

        async def now() -> None:
            event.set()

        self._run(now(), "setting an event")

    def tasks(self) -> "set[asyncio.Task[Any]]":
        """The tasks that are alive in the loop of the code under test."""

        async def alive() -> "set[asyncio.Task[Any]]":
            return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}

        found: set[asyncio.Task[Any]] = self._run(alive(), "listing the tasks")
        return found

    @contextmanager
    def locked(self, job: Job, status: str, **columns: Any) -> Iterator["Lock"]:
        """Change a row in a transaction that stays open: whoever wants the row waits until `commit`.

        A piece that looks first and writes afterwards has looked before the change by then, and is caught each time;
        a guarded UPDATE, and a SELECT … FOR UPDATE, wait and see the new row.
        """
        self._stub()  # a server that starts applies the schema, and that would wait for this transaction
        connection = self._connect(autocommit=False)
        try:
            statement, values = rows.update(job, status, columns)
            connection.execute(statement.encode(), values)
            yield Lock(self, connection)
        finally:
            connection.rollback()
            connection.close()

    @contextmanager
    def inserting(self, status: str = "queued", **columns: Any) -> "Iterator[tuple[UUID, Lock]]":
        """A new row in a transaction that stays open: whoever wants its id or its key waits for the end.

        A piece that looks first and inserts afterwards has found nothing by then, and is caught each time.
        """
        _ = self.app  # an app that opens applies the schema, and that would wait for this transaction
        connection = self._connect(autocommit=False)
        try:
            values = {"task_id": uuid4(), "type": "noop", **rows.columns(Status(status)), **columns}
            connection.execute(rows.insert(values).encode(), values)
            yield values["task_id"], Lock(self, connection)
        finally:
            connection.rollback()
            connection.close()

    @contextmanager
    def database_raises(self, error: Exception) -> Iterator[None]:
        """While the block runs, whatever the server asks of the database fails with this error."""
        self._stub()

        @asynccontextmanager
        async def broken(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            raise error
            yield

        with self.connecting(lambda ordinary: broken):
            yield

    @contextmanager
    def connecting(self, changed: Callable[[Any], Any]) -> Iterator[None]:
        """While the block runs, the server gets its connections from what this makes of `pool.connection`."""
        # A call that may take long has its connection from another pool than the rest.
        pools: list[Any] = [self.app.db._pool, self.app.guest_db._pool]
        for pool in pools:
            pool.connection = changed(pool.connection)
        try:
            yield
        finally:
            for pool in pools:
                del pool.connection

    @contextmanager
    def first_read_held(self) -> Iterator[tuple[Event, Event]]:
        """While the block runs, the first answer of the database to the code under test is kept back.

        The first event says that the database has answered, and to set the second one lets the answer go.
        """
        self._stub()
        pool: Any = self.app.db._pool
        ordinary, answered, over = pool.connection, Event(), Event()
        is_first = True

        @asynccontextmanager
        async def held(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            nonlocal is_first
            async with ordinary(*args, **kwargs) as connection:
                is_kept_back = is_first and within_a_piece()
                is_first = is_first and not is_kept_back
                yield connection
                if is_kept_back:
                    answered.set()
                    while not over.is_set():  # noqa: ASYNC110  (the thread of the test sets it)
                        await asyncio.sleep(0.005)

        pool.connection = held
        try:
            yield answered, over
        finally:
            del pool.connection
            over.set()

    @contextmanager
    def door_closed(self) -> Iterator[None]:
        """While the block runs, calls wait at the door. Then the code under test sees all in one turn of its loop."""
        self._stub()
        door = self._recorder.door = self.event()
        try:
            yield
        finally:
            self._recorder.door = None
            self.let_go(door)

    @contextmanager
    def short_timers_held(self) -> Iterator[Callable[[], None]]:
        """Short timers that the code under test sets while the block runs wait until what this gives is called."""
        self._stub()
        loop: asyncio.AbstractEventLoop = self.run(lambda app: asyncio.get_running_loop())
        with held(loop, self.code.files) as go_off:
            yield lambda: self.run(lambda app: go_off())

    @contextmanager
    def before_redis(self, happens: Callable[[], None]) -> Iterator[None]:
        """While the block runs, call this before each thing that is asked of Redis; what it raises, Redis raises."""
        with before_each_command(self.app.queue.redis, happens):
            yield

    @contextmanager
    def after_redis(self, happens: Callable[[], None]) -> Iterator[None]:
        """While the block runs, call this when Redis has answered something, before whoever asked goes on."""
        with after_each_command(self.app.queue.redis, happens):
            yield

    @contextmanager
    def redis_stands_still(self) -> Iterator[Event]:
        """While the block runs, whatever the server asks of Redis waits for its end. The event says that it asked."""
        self._stub()
        pool: Any = self.app.queue.redis.connection_pool
        ordinary, asked, over = pool.get_connection, Event(), Event()

        async def patiently(*args: Any, **kwargs: Any) -> Any:
            asked.set()
            while not over.is_set():  # noqa: ASYNC110  (the thread of the test sets it)
                await asyncio.sleep(0.005)
            return await ordinary(*args, **kwargs)

        pool.get_connection = patiently
        try:
            yield asked
        finally:
            pool.get_connection = ordinary
            over.set()

    @property
    def goes_round(self) -> Place | None:
        """The loop of the code under test that went round without waiting, and was ended."""
        return self._loop.goes_round

    @property
    def loop(self) -> LoopThread:
        """The loop of the code under test."""
        return self._loop

    def blocking_line(self) -> str | None:
        """If the loop of the code under test does not answer: which line of it is to blame."""
        return self._loop.blocking_line()

    def summary(self) -> list[str]:
        """What the system looks like now, in a few lines."""
        lines = self.notes[-3:]
        jobs = self.sql("SELECT status, count(*) AS n FROM tasks GROUP BY status ORDER BY status")
        lines.append("tasks: " + (", ".join(f"{row['n']} {row['status']}" for row in jobs) or "no rows"))
        keys = sorted(str(key, "utf-8") for key in self.redis.keys("*"))
        lines.append("Redis: " + (", ".join(self._describe_key(key) for key in keys) or "no keys"))
        return lines

    def check_calls(self) -> None:
        """Raise what a piece has raised by mistake in a call, if any has."""
        self._recorder.raise_first()

    def check(self) -> None:
        """Raise what the code under test did wrong in the background, if anything."""
        self.check_calls()
        if self._loop.unhandled:
            raise self._loop.unhandled[0]

    def close(self) -> None:
        for stream in self._streams:
            stream.leave()
        for worker in self._workers:
            worker.give_up()
        if self._channel is not None:
            self._channel.close()
        with suppress(Hang):  # the test itself has said what stands still
            self._loop.run(self._open.aclose(), 10, "closing")
        self._loop.close()
        for proxy in self.proxies.values():
            proxy.close()
        self._db.close()
        self.redis.close()

    # -- inside

    def _through_proxies(self, names: Sequence[str]) -> Settings:
        settings = self.settings
        changes: dict[str, Any] = {}
        if "redis" in names:
            self.proxies["redis"] = Proxy(settings.redis_host or "", settings.redis_port)
            changes |= {"redis_host": "127.0.0.1", "redis_port": self.proxies["redis"].port}
        if "database" in names:
            url = urlsplit(settings.database_conninfo())
            self.proxies["database"] = Proxy(url.hostname or "", url.port or 5432)
            place = f"{url.username}:{url.password}@127.0.0.1:{self.proxies['database'].port}"
            changes["database_url"] = SecretStr(urlunsplit(url._replace(netloc=place)))
        return settings.model_copy(update=changes)

    def _run(self, work: Any, what: str) -> Any:
        try:
            return self._loop.run(work, 15, what)
        except BaseException:
            self._recorder.raise_first()
            raise

    def _stub(self) -> Any:
        if self._channel is None:
            api = self._run(
                self._open.enter_async_context(running_api(self._seen_by_code, self._parts)),
                "starting the server",
            )
            self._channel = grpc.insecure_channel(f"127.0.0.1:{api.port}", [("grpc.enable_http_proxy", 0)])
            self._metrics_port = api.metrics_port
            if self._app is None:
                self._app = api.app
        return scheduler_pb2_grpc.SchedulerServiceStub(self._channel)

    def _begin_stream(self, method: str, fields: dict[str, Any], **options: Any) -> Stream:
        stub, request = self._request(method, fields)
        stream = Stream(method, stub(request, **options), self.notes, self._loop, self._recorder)
        self._streams.append(stream)
        return stream

    def _request(self, method: str, fields: dict[str, Any]) -> tuple[Any, Any]:
        descriptor = pb.DESCRIPTOR.services_by_name["SchedulerService"].methods_by_name[method]
        message = getattr(pb, descriptor.input_type.name)
        values = {name: str(value) if isinstance(value, UUID) else value for name, value in fields.items()}
        return getattr(self._stub(), method), message(**values)

    def _note(self, method: str, fields: dict[str, Any], answer: str) -> None:
        self.notes.append(f"{method}({_told(fields)}) → {answer}")

    def _job(self, statement: str, values: dict[str, Any]) -> Job:
        return Job.from_row(self._db.execute(statement.encode(), values).fetchall()[0])

    def _connect(self, autocommit: bool = True) -> "psycopg.Connection[DictRow]":
        connection = psycopg.connect(
            self.settings.database_conninfo(), autocommit=autocommit, row_factory=dict_row
        )
        connection.adapters.register_loader("jsonb", TextLoader)
        return connection

    def _describe_key(self, key: str) -> str:
        kind = str(self.redis.type(key), "utf-8")
        size = {"list": self.redis.llen, "zset": self.redis.zcard}.get(kind)
        return f"{key} ({size(key)})" if size else key


async def _connected(app: App) -> None:
    await app.db.fetch_one("SELECT 1")


def _told(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name}={brief(value)}" for name, value in fields.items())


class Running:
    """A piece that runs."""

    def __init__(self, loop: LoopThread, future: "Future[Any]", name: str) -> None:
        self._loop = loop
        self._future = future
        self._name = name

    @property
    def done(self) -> bool:
        return self._future.done()

    def result(self, within: float = WITHIN) -> Any:
        """What it returned, or what it raised. Raises `Hang` at the deadline."""
        return self._loop.wait(self._future, within, self._name)

    def cancel(self) -> None:
        """Cancel it, as `task.cancel()` does."""
        self._future.cancel()


class Calling:
    """An RPC that goes on beside the test, in a thread of its own."""

    def __init__(self, call: Callable[[float], Any]) -> None:
        self._call = call
        self._future: Future[Any] = Future()
        Thread(target=self._run, name="call", daemon=True).start()

    @property
    def done(self) -> bool:
        return self._future.done()

    def result(self, within: float = WITHIN) -> Any:
        """Its answer, or what `World.call` raises. Raises `Hang` at the deadline."""
        within = stretched(within)
        try:
            return self._future.result(within)
        except FutureTimeout:
            raise Hang(f"the call did not end within {within:g} s") from None

    def _run(self) -> None:
        try:
            self._future.set_result(self._call(4 * WITHIN))
        except BaseException as error:
            self._future.set_exception(error)


class Asking:
    """An RPC whose client may go away."""

    def __init__(self, call: Any, wait_for_the_end: Callable[[], None]) -> None:
        self._call = call
        self._wait_for_the_end = wait_for_the_end

    @property
    def done(self) -> bool:
        return bool(self._call.done())

    def leave(self) -> None:
        """Go away, and wait until the server's code has noticed."""
        self._call.cancel()
        self.end()

    def end(self) -> None:
        """Wait until the server's code for it is over, whatever the answer is."""
        self._wait_for_the_end()


class WorkerUnderTest:
    """A worker that runs in the world's loop."""

    def __init__(self, world: World, worker: Any) -> None:
        self.piece = worker
        self._world = world
        self.task: asyncio.Task[Any] | None = None
        """The task that `run` is in, from its first step on."""
        self.running = world.start(self._run)

    def _run(self, app: App) -> Any:
        self.task = asyncio.current_task()
        return self.piece.run()

    def begin_to_stop(self) -> Running:
        """Call `stop`, and do not wait for it."""
        return self._world.start(lambda app: self.piece.stop())

    def stop(self, within: float = 3 * WITHIN, stopping: Running | None = None) -> None:
        """Stop it, and wait until `stop` has returned, and `run` before it."""
        stopping = stopping or self.begin_to_stop()
        self._wait_for(stopping, within)
        if not self.running.done:
            self._world.turns()
        if not self.running.done:
            raise AssertionError(
                "Worker.stop returned while Worker.run was still at work: whoever calls stop takes it that all is over "
                "then. It returns when run has returned"
            )
        self.running.result()

    def _wait_for(self, waiting: Running, within: float) -> None:
        within = stretched(within)
        end = time.monotonic() + within
        while not waiting.done and time.monotonic() < end and not self._world.goes_round:
            self._world.end_waiting_pops()
            time.sleep(0.005)
        if not waiting.done:
            raise Hang(
                self._world.blocking_line()
                or f"Worker.stop did not return within {within:g} s: {self.waits_at()}"
            )
        waiting.result()

    def until(self, look: Callable[[], Any], what: str, within: float = WITHIN) -> Any:
        """As `World.until`; raises what ended `run`, if something has."""

        def seen() -> Any:
            found = look()
            if not found:
                self.check()
            return found

        return self._world.until(seen, what, within)

    def check(self) -> None:
        """Raise what ended `run`, if something has."""
        if self.running.done:
            self.running.result()
            raise AssertionError("Worker.run returned although nobody had called stop")

    def waits_at(self) -> str:
        """Where `run` is just now, as far as it waits in the code under test."""
        if self.running.done:
            return "Worker.run has ended"
        files = files_of(type(self.piece))
        lines: list[str] = self._world.run(
            lambda app: [line for one in asyncio.all_tasks() if (line := _line(one, files))]
        )
        return f"Worker's coroutines wait at {'; '.join(lines)}" if lines else "Worker.run goes on"

    def give_up(self) -> None:
        """End it whatever it does: for the end of a test."""
        if not self.running.done:
            with suppress(BaseException):
                self.stop(within=2)
        self.running.cancel()


def files_of(worker: type) -> set[str]:
    """Where a class was written."""
    written = {getattr(one, "__code__", None) for base in worker.__mro__ for one in vars(base).values()}
    return {code.co_filename for code in written if code is not None}


def _line(task: "asyncio.Task[Any]", files: set[str]) -> str | None:
    """The innermost line in these files where a task waits."""
    waits: Any = task.get_coro()
    found = None
    while waits is not None:
        frame = getattr(waits, "cr_frame", None)
        if frame is not None and frame.f_code.co_filename in files:
            source = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            found = f"{short(frame.f_code.co_filename)}:{frame.f_lineno}: {source}"
        waits = getattr(waits, "cr_await", None)
    return found


class Lock:
    """A change that is not committed yet."""

    def __init__(self, world: World, connection: "psycopg.Connection[DictRow]") -> None:
        self._world = world
        self._connection = connection

    def wait_for(self, running: "Running | Calling | Stream | None" = None) -> None:
        """Wait until another connection is seen waiting for the row, or until the piece has ended without waiting."""
        waiting = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        self._world.until(
            lambda: self._world.sql(waiting) or getattr(running, "done", False),
            "the piece wanted the row",
        )

    def commit(self) -> None:
        """Let the change happen."""
        self._connection.commit()

    def roll_back(self) -> None:
        """Let it never have happened."""
        self._connection.rollback()


def parts_of(code: Code, chapter: Chapter, task: int, recorder: Recorder) -> Parts:
    """The reference's pieces, with the chapter's own in place as far as `task`."""
    parts = reference()
    names = {
        "Worker.run": "worker",
        "Worker.stop": "worker",
        "MetricsInterceptor": "metrics_interceptor",
    }
    mine: dict[str, Any] = {}
    for file, entry in chapter.entries(last=task):
        field = names.get(entry, entry)
        if hasattr(parts, field):
            piece = code.get(file, entry)
            mine[field] = piece if isinstance(piece, type) else recorder.wrap(piece)
    return replace(parts, **mine)


@contextmanager
def opened(
    code: Code, chapter: Chapter, task: int, settings: Settings, can_go_away: Sequence[str] = ()
) -> Iterator[World]:
    """A world whose server uses the chapter's pieces up to this task. Nothing starts before it is needed."""
    recorder = Recorder()
    parts = parts_of(code, chapter, task, recorder)
    world = World(code, parts, recorder, LoopThread(lambda: code.files), settings, can_go_away)
    try:
        yield world
    finally:
        world.close()
