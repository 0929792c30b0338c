"""What chapter 07 is judged on.

Open in the contract: which buckets a histogram has, series that are still 0, further metrics, and, where a queue's jobs
were pushed in another order than they were queued, whose age is shown.
"""

import asyncio
import logging
import math
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from threading import Thread
from time import get_clock_info, monotonic
from types import SimpleNamespace
from typing import Any

import grpc
import psycopg
import redis.exceptions
from grpc import aio
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from scheduler.jobs import Job, Priority, Status
from scheduler.no_metrics import NoMetrics
from scheduler.worker.handlers import handlers

from workbook.judge import OPEN, Judge, Row, Seen, Side
from workbook.judges import odd
from workbook.loop import Hang
from workbook.patience import stretched
from workbook.rivals import Failing
from workbook.stream import WITHIN

LATER = "registered later"
"""A type whose handler is registered after the code under test was loaded, as one's own are."""
COUNTED = (
    "scheduler_jobs_submitted_total",
    "scheduler_jobs_completed_total",
    "scheduler_job_duration_seconds_count",
    "scheduler_job_duration_seconds_sum",
)
ENDINGS = (Status.SUCCEEDED, Status.FAILED, Status.DEADLETTER, Status.CANCELLED)


def task_1(judge: Judge) -> None:
    judge.compare(st.integers(1, 3), _registries, examples=3)


def task_2(judge: Judge) -> None:
    judge.compare(st.lists(_counts(), min_size=1, max_size=5), _counted, examples=60)


def task_3(judge: Judge) -> None:
    pages = st.lists(st.tuples(st.sampled_from(odd.TYPES), st.integers(1, 9)), max_size=3)
    judge.compare(pages, _served, examples=12)
    judge.each(["one port"], _served_twice)
    judge.each(["a silent client"], _served_beside_the_silent)
    judge.each([True, False], _served_ready_or_not)
    judge.each(["an open connection"], _served_after_close)


def task_4(judge: Judge) -> None:
    looks = st.lists(
        st.fixed_dictionaries({name: st.integers(0, 3) for name in Priority}), min_size=1, max_size=3
    )
    judge.compare(looks, _depths)


def task_5(judge: Judge) -> None:
    judge.compare(_waiting(), _ages, examples=30)
    judge.each(["a column that does not exist"], _mistaken)
    judge.each(AWAY, _away)


def task_6(judge: Judge) -> None:
    answers = st.tuples(
        st.sampled_from(["GetJob", "SubmitJob", "WatchJob"]),
        st.sampled_from(["OK", "NOT_FOUND", "CANCELLED", "UNKNOWN"]),
        st.sampled_from([0.0, 0.25, 1.5, 400.0]),
    )
    judge.compare(st.lists(answers, min_size=1, max_size=4), _answered, examples=20)
    judge.compare(
        st.tuples(st.sampled_from(METHODS), st.sampled_from(ENDS)), _through, examples=3 * len(ENDS)
    )
    judge.each(AT_ONCE, _two_at_once)


# -- tasks 1 and 2


@dataclass(frozen=True)
class Count:
    """One call of a method of `Metrics`; `ended` is None for `submitted`."""

    type: str
    priority: Priority
    ended: Status | None
    seconds: float | None

    def __repr__(self) -> str:
        job = f"a {self.priority} job of type {self.type!r}"
        return f"finished({job}, {self.ended}, {self.seconds})" if self.ended else f"submitted({job})"


def _counts() -> SearchStrategy[Count]:
    return st.builds(
        Count,
        st.sampled_from(["noop", "sleep", LATER, "made up", 'say "hi"', "Noop", "unknown"]),
        st.sampled_from(list(Priority)),
        st.none() | st.sampled_from(ENDINGS),
        st.sampled_from([0.25, 1.5, 0.0, None, 0.001, 90.0]),
    )


def _registries(side: Side, number: int) -> Iterator[Seen]:
    """Several in one process, each with all that there must be, and nothing in common."""
    registries = [CollectorRegistry() for _ in range(number)]
    built = [side.code.build_metrics(registry) for registry in registries]
    built[-1].push_failed(2)
    pages = [_series(registry, ("scheduler_push_failures_total",)) for registry in registries]
    yield Seen(
        f"scheduler_push_failures_total of {number} registries, after push_failed(2) on the last", pages
    )


def _counted(side: Side, counts: list[Count]) -> Iterator[Seen]:
    registry = CollectorRegistry()
    metrics = side.code.build_metrics(registry)
    early, late = counts[: len(counts) // 2], counts[len(counts) // 2 :]
    _count(metrics, early)
    with _registered_later():
        _count(metrics, late)
    after = "; ".join([*map(repr, early), f"a handler is registered for {LATER!r}", *map(repr, late)])
    for name in COUNTED:
        yield Seen(f"{name} after {after}", _series(registry, (name,)))


def _count(metrics: Any, counts: list[Count]) -> None:
    for one in counts:
        job = _job(one)
        if one.ended is None:
            metrics.submitted(job)
        else:
            metrics.finished(job, one.ended, one.seconds)


@contextmanager
def _registered_later() -> Iterator[None]:
    async def run(app: Any, job: Job) -> None: ...

    handlers(LATER)(run)
    try:
        yield
    finally:
        del handlers._handlers[LATER], handlers._async[LATER]


def _job(one: Count) -> Job:
    """As a worker has it when it finishes: running. No two times are the same."""
    first, *times = (odd.NOON + timedelta(seconds=step) for step in range(5))
    return Job(
        task_id=odd.task_id(1),
        type=one.type,
        priority=one.priority,
        payload_json="{}",
        status=Status.RUNNING,
        attempts=1,
        max_attempts=3,
        last_error=None,
        worker="another/1",
        version=2,
        idempotency_key=None,
        created_at=first,
        updated_at=times[0],
        queued_at=times[1],
        pushed_at=None,
        started_at=times[2],
        finished_at=None,
        next_run_at=None,
        lease_expires_at=times[3],
    )


def _series(registry: CollectorRegistry, names: tuple[str, ...]) -> list[str]:
    """What Prometheus reads of these names, one line each, in an order of their own. Series that are 0 are left out."""
    lines = []
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            if sample.name in names and sample.value:
                labels = ",".join(f'{key}="{sample.labels[key]}"' for key in sorted(sample.labels))
                lines.append(f"{sample.name}{{{labels}}} {sample.value:g}")
    return sorted(lines)


# -- task 3


def _served(side: Side, numbers: list[tuple[str, int]]) -> Iterator[Seen]:
    registry = CollectorRegistry()
    counter = Counter("things_total", "For this page", ["type"], registry=registry)
    server = side.code.serve_metrics(registry, 0)
    try:
        pages = []
        for type, number in [*numbers, ("noop", 0)]:
            counter.labels(type).inc(number)
            pages.append(_page(server.port) == _series(registry, ("things_total",)))
    finally:
        server.close()
    counts = ", ".join(f"{number} of type {type!r}" for type, number in numbers)
    yield Seen(f"whether each page shows what is counted by then, after {counts or 'nothing'}", pages)


def _served_twice(side: Side, what: str) -> Iterator[Seen]:
    """A port that a server of one's own has is taken, as it is for everybody."""
    first = side.code.serve_metrics(CollectorRegistry(), 0)
    second = None
    try:
        second = side.code.serve_metrics(CollectorRegistry(), first.port)
        outcome = "both are served"
    except OSError:
        outcome = "OSError"
    finally:
        for server in (second, first):
            if server is not None:
                server.close()
    yield Seen("serve_metrics on the port that an earlier serve_metrics has", outcome)


def _served_beside_the_silent(side: Side, what: str) -> Iterator[Seen]:
    """Whoever connects and says nothing, as a scanner of ports does, keeps nobody waiting."""
    server = side.code.serve_metrics(CollectorRegistry(), 0)
    silent = socket.create_connection(("127.0.0.1", server.port))
    closing = Thread(target=server.close, daemon=True)
    try:
        try:
            _page(server.port, stretched(WITHIN))
            page = "the page comes"
        except TimeoutError:
            page = "no page comes"
        yield Seen("GET /metrics while a client is connected that has sent nothing yet", page)
        closing.start()
        closing.join(stretched(WITHIN))
        outcome = "it does not return" if closing.is_alive() else "it returns"
        yield Seen("close() while a client is connected that has sent nothing yet", outcome)
    finally:
        silent.close()
        if not closing.ident:
            closing.start()
        closing.join(stretched(WITHIN))


def _served_ready_or_not(side: Side, is_ready: bool) -> Iterator[Seen]:
    """The numbers of a process that can't work are those that somebody wants to see."""
    server = side.code.serve_metrics(CollectorRegistry(), 0, is_ready=lambda: is_ready)
    connection = HTTPConnection("127.0.0.1", server.port, timeout=stretched(WITHIN))
    try:
        connection.request("GET", "/metrics")
        status = connection.getresponse().status
    finally:
        connection.close()
        server.close()
    yield Seen(f"the status of GET /metrics while is_ready() is {is_ready}", status)


def _served_after_close(side: Side, what: str) -> Iterator[Seen]:
    """What was closed answers nobody, over a connection that is there already neither."""
    server = side.code.serve_metrics(CollectorRegistry(), 0)
    connection = HTTPConnection("127.0.0.1", server.port, timeout=stretched(WITHIN))
    try:
        connection.request("GET", "/metrics")
        connection.getresponse().read()
        server.close()
        try:
            connection.request("GET", "/metrics")
            connection.getresponse().read()
            outcome = "a page"
        except (OSError, HTTPException):
            outcome = "none"
    finally:
        connection.close()
    yield Seen("the page after close(), for a client that had asked for one before it", outcome)


def _page(port: int, within: float = 30) -> list[str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=within)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return sorted(
        f'things_total{{type="{one.labels["type"]}"}} {one.value:g}'
        for one in samples
        if one.name == "things_total" and one.value
    )


# -- tasks 4 and 5


def _refresh(side: Side, registry: CollectorRegistry, metrics: Any) -> Any:
    async def refresh_depth(app: Any) -> Any:
        return await side.code.refresh_depth(replace(app, metrics=metrics))

    return side.world.run(refresh_depth)


def _gauge(registry: CollectorRegistry, name: str) -> dict[str, float]:
    values = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            if sample.name == name:
                values[", ".join(sample.labels.values())] = sample.value
    return values


def _mistaken(side: Side, what: str) -> Iterator[Seen]:
    """A mistake in one's own SQL is no database that is away: somebody must hear of it."""
    registry = CollectorRegistry()
    metrics = side.code.build_metrics(registry)
    ears = _Ears()
    logging.getLogger().addHandler(ears)
    try:
        side.world.app  # noqa: B018  (opened with a database that works)
        asked: Any = Failing(psycopg.errors.UndefinedColumn("column does not exist"))

        async def refresh_depth(app: Any) -> Any:
            return await side.code.refresh_depth(replace(app, metrics=metrics, db=asked))

        try:
            side.world.run(refresh_depth)
            heard = ears.heard or not asked.asked
        except (NotImplementedError, Hang):
            raise
        except Exception:  # the mistake itself, or what comes of it
            heard = True
    finally:
        logging.getLogger().removeHandler(ears)
    outcome = "raised, or logged with its traceback" if heard else "nobody hears of it"
    yield Seen(f"refresh_depth whose statement names {what}", outcome)


AWAY: tuple[redis.exceptions.RedisError | psycopg.Error, ...] = (
    redis.exceptions.ConnectionError("refused"),
    redis.exceptions.TimeoutError("no answer"),
    redis.exceptions.BusyLoadingError("LOADING"),
    psycopg.OperationalError("refused"),
    psycopg.errors.AdminShutdown("going away"),
    psycopg.errors.CannotConnectNow("starting"),
)
"""Redis and the database away, in several ways: each is a line of the lesson's table."""


def _away(side: Side, failure: redis.exceptions.RedisError | psycopg.Error) -> Iterator[Seen]:
    registry = CollectorRegistry()
    metrics = side.code.build_metrics(registry)
    side.insert(
        Row("job 1", odd.task_id(1), "queued", columns={"queued_at": odd.NOON, "pushed_at": odd.NOON})
    )
    side.world.redis.lpush("q:low", "an entry", "another")
    _refresh(side, registry, metrics)
    with _failing(side, failure):
        _refresh(side, registry, metrics)
    who = "Redis" if isinstance(failure, redis.exceptions.RedisError) else "the database"
    yield from _gauges(registry, f"while {who} says {type(failure).__name__}")
    _refresh(side, registry, metrics)
    yield from _gauges(registry, f"when {who} is back after {type(failure).__name__}")


@contextmanager
def _failing(side: Side, failure: Exception) -> Iterator[None]:
    def fails() -> None:
        raise failure

    world = side.world
    with world.database_raises(failure) if isinstance(failure, psycopg.Error) else world.before_redis(fails):
        yield


def _gauges(registry: CollectorRegistry, when: str) -> Iterator[Seen]:
    """NaN equals nothing, and an age goes on: each value is told in words."""
    where = "where q:low holds 2 entries and one job of default priority is queued"
    depths = {key: _or_nan(value, f"{value:g}") for key, value in _gauge(registry, DEPTH).items()}
    yield Seen(f"{DEPTH} {when}, {where}", depths)
    ages = {
        key: _or_nan(value, "its age" if value else "0") for key, value in _gauge(registry, OLDEST).items()
    }
    yield Seen(f"{OLDEST} {when}, {where}", ages)


def _or_nan(value: float, known: str) -> str:
    return "NaN" if math.isnan(value) else known


class _Ears(logging.Handler):
    heard = False

    def emit(self, record: logging.LogRecord) -> None:
        self.heard = self.heard or bool(record.exc_info) or record.levelno >= logging.WARNING


def _depths(side: Side, looks: list[Mapping[str, int]]) -> Iterator[Seen]:
    registry = CollectorRegistry()
    metrics = side.code.build_metrics(registry)
    seen, answers = [], []
    for lengths in looks:
        side.world.redis.flushdb()
        for name, length in lengths.items():
            for number in range(length):
                # One in two stands there twice, as that of a job which was pushed again.
                side.world.redis.lpush(f"q:{name}", f"entry {number // 2}")
        answers.append(_refresh(side, registry, metrics) or 0)
        seen.append(_gauge(registry, DEPTH))
    told = ", then ".join(", ".join(f"{length} in {name}" for name, length in one.items()) for one in looks)
    yield Seen(f"scheduler_queue_depth at each look, where there are {told}", seen)
    yield Seen("what refresh_depth returns", answers)


@st.composite
def _waiting(draw: st.DrawFn) -> tuple[Row, ...]:
    """Rows in any state, queued and pushed in one order, and pushed some time after they were queued."""
    rows = []
    for number in range(1, draw(st.integers(0, 5)) + 1):
        status, priority = (
            draw(st.sampled_from(["queued", "queued", *map(str, Status)])),
            draw(st.sampled_from(Priority)),
        )
        columns = {}
        if status == "queued":
            ago = 400_000 - number * 60_000 + draw(st.sampled_from([0.0, 0.25]))
            columns = {
                "queued_at": ago,
                "pushed_at": ago - draw(st.sampled_from([0, 400])),
                "created_at": ago + 300,
            }
        rows.append(Row(f"job {number}", odd.task_id(number), status, "noop", str(priority), columns))
    return tuple(draw(st.permutations(rows)))


def _ages(side: Side, rows: tuple[Row, ...]) -> Iterator[Seen]:
    began = side.clock()
    side.insert(
        *(
            replace(row, columns={name: began - timedelta(seconds=ago) for name, ago in row.columns.items()})
            for row in rows
        )
    )
    registry = CollectorRegistry()
    metrics = side.code.build_metrics(registry)
    _refresh(side, registry, metrics)
    most = (side.clock() - began).total_seconds()
    there = ", ".join(f"{one.name} ({one.status}, {one.priority}{_since(one)})" for one in rows) or "no jobs"
    ages = {name: _whose(age, rows, most) for name, age in _gauge(registry, OLDEST).items()}
    yield Seen(f"{OLDEST}, where there are {there}", ages)


DEPTH = "scheduler_queue_depth"
OLDEST = "scheduler_queue_oldest_age_seconds"


def _since(row: Row) -> str:
    if not row.columns:
        return ""
    return f", queued {row.columns['queued_at']:g} s ago, pushed {row.columns['pushed_at']:g} s ago"


def _whose(age: float, rows: tuple[Row, ...], most: float) -> str:
    """Since which moment of which row it is so many seconds."""
    for row in rows:
        for column, ago in row.columns.items():
            if 0 <= age - ago <= most:
                return f"the seconds since {column} of {row.name}"
    return f"{age:g}"


# -- task 6


def _answered(side: Side, answers: list[tuple[str, str, float]]) -> Iterator[Seen]:
    registry = CollectorRegistry()
    metrics = side.code.build_metrics(registry)
    _constructed(side, metrics)
    for one in answers:
        metrics.answered(*one)
    after = "; ".join(f"answered{one!r}" for one in answers)
    for name in (
        "scheduler_grpc_requests_total",
        "scheduler_grpc_request_seconds_count",
        "scheduler_grpc_request_seconds_sum",
    ):
        yield Seen(f"{name} after {after}", _series(registry, (name,)))


def _constructed(side: Side, metrics: Any) -> Any:
    return side.code.MetricsInterceptor(metrics)


METHODS = ("GetJob", "SubmitJob", "WatchJob", "Watch")
UNTIDY = "is closed after its first event, and fails as it tidies up"
"""With which code this ends, and whether its client hears of it, is open."""
LEFT = ("is closed after its first event", UNTIDY)
ENDS = (
    "answers",
    "aborts with NOT_FOUND",
    "aborts with INVALID_ARGUMENT",
    "raises ValueError",
    "is cancelled",
    "is left by its client",
    "raises after an answer",
    "is closed after its first event",
    UNTIDY,
)
WAIT = ("is cancelled", "is left by its client")
"""The method would wait for ever then: whatever goes on with it is seen."""
CODES = {
    "aborts with NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "aborts with INVALID_ARGUMENT": grpc.StatusCode.INVALID_ARGUMENT,
}
SLACK = 2 * get_clock_info("monotonic").resolution
A_MOMENT = max(0.004, 4 * SLACK)
"""Long enough to be told from nothing. Nothing is compared with it: a call knows itself how long it took."""


class _Noting(NoMetrics):
    def __init__(self) -> None:
        self.ended: list[tuple[str, str, float]] = []
        self.open = 0
        self.most = 0

    def answered(self, method: str, code: str, seconds: float) -> None:
        self.ended.append((method, code, seconds))

    def watching(self, change: int) -> None:
        self.open += change
        self.most = max(self.most, self.open)


def _through(side: Side, case: tuple[str, str]) -> Iterator[Seen]:
    """One call through the interceptor, as grpc.aio would make it."""
    method, end = case
    noting = _Noting()
    interceptor = _constructed(side, noting)
    call = asyncio.run(_called_alone(interceptor, method, end))
    what = f"a {method} that {end}"
    seen = {
        f"what the client of {what} gets": OPEN if end == UNTIDY else call.got,
        f"what is still at work after {what}": call.left,
        f"the method and code that answered(…) is told of {what}": [
            [method, "" if end == UNTIDY else code] for method, code, _ in noting.ended
        ],
        f"the seconds that answered(…) is told of {what}": [
            _how_long(seconds, call) for _, _, seconds in noting.ended
        ],
        f"how many watches were open at most, and are at the end, for {what}": [noting.most, noting.open],
    }
    for name, value in seen.items():
        yield Seen(name, OPEN if call.can_not_be_closed else value)


AT_ONCE = (("GetJob", "SubmitJob"), ("SubmitJob", "GetJob"), ("WatchJob", "Watch"), ("GetJob", "GetJob"))
"""Two calls each: what stands in front of a method is made once, and kept."""


def _two_at_once(side: Side, methods: tuple[str, str]) -> Iterator[Seen]:
    """A short call within a long one: each is told how long it took itself."""
    noting = _Noting()
    interceptor = _constructed(side, noting)

    async def both() -> tuple[_Call, _Call]:
        long = asyncio.ensure_future(_called(interceptor, methods[0], "answers", turns=4))
        await asyncio.sleep(2 * A_MOMENT)
        return await _called(interceptor, methods[1], "answers"), await long

    calls = sorted(asyncio.run(both()), key=lambda call: call.ended)
    told = [_how_long(seconds, call) for (_, _, seconds), call in zip(noting.ended, calls, strict=False)]
    yield Seen(
        f"the seconds that answered(…) is told of a short {methods[1]} within a long {methods[0]}", told
    )


@dataclass
class _Call:
    got: list[str]
    within: float = 0.0
    around: float = 0.0
    ended: float = 0.0
    """When it was over: two calls of one method are counted in this order."""
    open: int = 0
    """Calls of the method itself that have begun and not ended."""
    left: tuple[str, ...] = ()
    can_not_be_closed: bool = False
    """A coroutine that writes to the context is another right design, and has no half-way."""


def _how_long(seconds: float, call: _Call) -> str:
    if call.within - SLACK <= seconds <= call.around + SLACK:
        return "as long as it took"
    return f"{seconds:.6f}, where it took between {call.within:.6f} and {call.around:.6f}"


async def _called_alone(interceptor: Any, method: str, end: str) -> _Call:
    """As `_called`, and a look at what goes on when the call is over."""
    call = await _called(interceptor, method, end)
    for _ in range(50):  # what was told to end may need a few turns
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        call.left = ("the method itself",) * call.open + ("a task",) * len(tasks)
        if not call.left:
            break
        await asyncio.sleep(0)
    return call


async def _called(interceptor: Any, method: str, end: str, turns: int = 1) -> _Call:
    is_stream = method.startswith("Watch")
    call = _Call([])
    began = asyncio.Event()

    async def work() -> None:
        start = monotonic()
        began.set()
        for _ in range(turns):
            await asyncio.sleep(A_MOMENT)
        call.within = monotonic() - start
        if end in CODES:
            raise aio.AbortError
        if end == "raises ValueError":
            raise ValueError("as asked")
        if end in WAIT or (is_stream and end in LEFT):
            await asyncio.Event().wait()

    # An interceptor may keep what it has put in front of a method: the call comes with the request.
    async def unary(request: Any, context: Any) -> str:
        one, work = request
        one.open += 1
        try:
            await work()
            if end == "raises after an answer":
                raise ValueError("as asked")
            return "an answer"
        finally:
            one.open -= 1

    async def stream(request: Any, context: Any) -> Any:
        one, work = request
        one.open += 1
        try:
            yield "an event"
            await work()
            yield "another"
            if end == "raises after an answer":
                raise ValueError("as asked")
        finally:
            one.open -= 1
            if end == UNTIDY:
                raise ValueError("as asked")

    async def find(details: Any) -> Any:
        if is_stream:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)

    service = "grpc.health.v1.Health" if method == "Watch" else "scheduler.v1.SchedulerService"
    details = SimpleNamespace(method=f"/{service}/{method}", invocation_metadata=())
    handler = await interceptor.intercept_service(find, details)
    await asyncio.sleep(A_MOMENT)  # a clock that began when the method was wrapped is too early by as much

    async def write(event: Any) -> None:
        call.got.append(str(event))

    context = SimpleNamespace(code=lambda: CODES.get(end), write=write)

    async def client() -> None:
        if not is_stream:
            call.got.append(str(await handler.unary_unary((call, work), context)))
            return
        events = handler.unary_stream((call, work), context)
        if not hasattr(events, "__aiter__"):
            call.can_not_be_closed = end in LEFT
            writing = asyncio.ensure_future(events)
            if call.can_not_be_closed:
                writing.cancel()
            await writing
            return
        async for event in events:
            call.got.append(str(event))
            if end in LEFT:
                await events.aclose()
                break

    start = monotonic()
    running = asyncio.ensure_future(client())
    running.add_done_callback(lambda _: setattr(call, "ended", monotonic()))
    if end in WAIT:
        waiting = asyncio.ensure_future(began.wait())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        await asyncio.sleep(A_MOMENT * 2)
        running.cancel()
    within = stretched(WITHIN)
    if not (await asyncio.wait([running], timeout=within))[0]:
        raise Hang(f"a {method} that {end} did not end within {within:g} s, behind the interceptor")
    try:
        await running
    except BaseException as error:
        call.got.append(type(error).__name__)
    call.around = monotonic() - start
    return call
