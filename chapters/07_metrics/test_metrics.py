"""Chapter 07: what the metrics must say. Run it with `pytest chapters/07_metrics`."""

import asyncio
import math
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import grpc
import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from redis.exceptions import RedisError
from scheduler.database import Unavailable
from scheduler.jobs import Job, Priority, Status
from scheduler.no_metrics import NoMetrics

from workbook.diagnose import diagnose
from workbook.loop import Hang
from workbook.stream import RpcFailed

WITHIN = 5.0


@pytest.fixture(autouse=True)
def _global_registry_as_it_was():
    """What a wrong answer puts into prometheus_client's own registry must not be there for the next test."""
    before = set(REGISTRY._collector_to_names)
    yield
    for collector in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(collector)


# -- what the tests read: the text that Prometheus gets


def _families(text: str) -> dict[str, Any]:
    """Each metric by its name, without the _total that only some of them show."""
    return {family.name.removesuffix("_total"): family for family in text_string_to_metric_families(text)}


def _series(text: str, name: str) -> list[tuple[dict[str, str], float]]:
    """The labels and the value of each sample of this name."""
    samples = [sample for family in _families(text).values() for sample in family.samples]
    return [(dict(sample.labels), sample.value) for sample in samples if sample.name == name]


def _page(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def _build(code, registry):
    try:
        metrics = code.build_metrics(registry)
    except ValueError as error:
        if "Duplicated" not in str(error):
            raise
        pytest.fail(
            f"{error}: a metric without registry= goes into prometheus_client's global registry, and the second "
            "build_metrics finds it there; give each metric registry=registry"
        )
    assert isinstance(metrics, NoMetrics), diagnose(
        "build_metrics(registry)",
        metrics,
        "a Metrics",
        [(metrics is None, "it returned nothing; is there a return?")],
    )
    return metrics


# -- task 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("scheduler_jobs_submitted_total", "counter"),
        ("scheduler_jobs_completed_total", "counter"),
        ("scheduler_job_duration_seconds", "histogram"),
        ("scheduler_queue_depth", "gauge"),
    ],
)
def test_task_1_registers_each_metric_with_its_type(code, name, kind):
    registry = CollectorRegistry()
    _build(code, registry)
    there = _families(_page(registry))
    found = there.get(name.removesuffix("_total"))
    if found is None:
        pytest.fail(_why_missing(name, there))
    assert found.type == kind, diagnose(
        f"the type of {name}",
        found.type,
        kind,
        [
            (kind == "counter", "it only ever rises, and starts at 0 with the process: that is a Counter"),
            (kind == "gauge", "a queue's length goes up and down: that is a Gauge"),
            (
                found.type == "summary",
                "a Summary knows only the sum and the number; a Histogram also says how many took how long",
            ),
        ],
    )


def _why_missing(name: str, there: dict[str, Any]) -> str:
    stem = name.removesuffix("_total").removesuffix("_seconds")
    similar = [other for other in there if other.startswith(stem)]
    bare = stem.removeprefix("scheduler_")
    if name.removesuffix("_total") in _families(_page(REGISTRY)):
        return f"{name} is in prometheus_client's global registry, not in the one given: pass on registry=registry"
    if similar:
        return f"there is no {name}, and there is {similar[0]}: a metric's name carries its unit, in seconds"
    if any(other.startswith(bare) for other in there):
        return f"there is no {name}: every name of this system begins with scheduler_"
    return f"there is no {name} in the registry (there are: {', '.join(sorted(there)) or 'none'})"


def test_task_1_keeps_two_registries_apart(code):
    first, second = CollectorRegistry(), CollectorRegistry()
    of_first = _build(code, first)
    _build(code, second)
    names = [set(_families(_page(registry))) for registry in (first, second)]
    assert names[1], "the second registry got no metrics; a second server in one process would show nothing"
    assert names[0] == names[1], diagnose("the metrics of a second registry", names[1], names[0])
    before = _series(_page(second), "scheduler_push_failures_total")
    of_first.push_failed(2)
    after = _series(_page(second), "scheduler_push_failures_total")
    assert after == before, diagnose(
        "scheduler_push_failures_total of a second registry, after push_failed(2) of the first",
        after,
        before,
        [(bool(after), "the two count together; make the metrics anew for each registry, in __init__")],
    )


def test_task_1_still_counts_failed_pushes(code):
    registry = CollectorRegistry()
    _build(code, registry).push_failed(3)
    got = _series(_page(registry), "scheduler_push_failures_total")
    assert got == [({}, 3.0)], diagnose("scheduler_push_failures_total, the example", got, [({}, 3.0)])


def test_task_1_agrees_with_the_reference_on_every_input(judge):
    judge.task(1)


# -- task 2


def _job(type: str = "noop", priority: Priority = Priority.HIGH) -> Job:
    """A job as a worker has it when it finishes: claimed, and running."""
    now = datetime.now(UTC)
    return Job(
        task_id=uuid4(),
        type=type,
        priority=priority,
        payload_json="{}",
        status=Status.RUNNING,
        attempts=1,
        max_attempts=3,
        last_error=None,
        worker="another/1",
        version=2,
        idempotency_key=None,
        created_at=now,
        updated_at=now,
        queued_at=now,
        pushed_at=None,
        started_at=now,
        finished_at=None,
        next_run_at=None,
        lease_expires_at=now,
    )


def _check(registry, name: str, after: str, expected: list[tuple[dict[str, str], float]], known=()) -> None:
    got = [(labels, value) for labels, value in _series(_page(registry), name) if value]
    labels = {key for one, _ in got for key in one}
    wanted = {key for one, _ in expected for key in one}
    assert _lines(got) == _lines(expected), diagnose(
        f"{name} after {after}",
        _lines(got, at_most=3),
        _lines(expected),
        [
            *known,
            (not got, "nothing was counted"),
            (labels != wanted, f"its labels are {_words(labels)}, and should be {_words(wanted)}"),
        ],
    )


def _lines(series: list[tuple[dict[str, str], float]], at_most: int = 1000) -> str:
    """Series as Prometheus writes them, in an order of their own."""
    lines = []
    for labels, value in series:
        pairs = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
        lines.append(f"{{{pairs}}} {value:g}")
    lines.sort()
    more = [f"… {len(lines) - at_most} more"] if len(lines) > at_most else []
    return "  ".join(lines[:at_most] + more)


def _words(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def test_task_2_counts_submitted_jobs_by_priority_and_type(code):
    registry = CollectorRegistry()
    metrics = _build(code, registry)
    for job in [_job("noop"), _job("noop"), _job("sleep"), _job("noop", Priority.LOW)]:
        metrics.submitted(job)
    _check(
        registry,
        "scheduler_jobs_submitted_total",
        "submitted(job) of two noop and one sleep of priority high, and one noop of low",
        [
            ({"priority": "high", "type": "noop"}, 2.0),
            ({"priority": "high", "type": "sleep"}, 1.0),
            ({"priority": "low", "type": "noop"}, 1.0),
        ],
    )


@pytest.mark.parametrize("status", ["succeeded", "failed", "deadletter", "cancelled"])
def test_task_2_counts_a_finished_job_by_its_ending(code, status):
    registry = CollectorRegistry()
    _build(code, registry).finished(_job(), Status(status), 0.25)
    statuses = {
        labels.get("status") for labels, _ in _series(_page(registry), "scheduler_jobs_completed_total")
    }
    _check(
        registry,
        "scheduler_jobs_completed_total",
        f"finished(job, {status}, 0.25) of a noop",
        [({"type": "noop", "status": status}, 1.0)],
        [
            (
                statuses == {"running"},
                "job is the job as it was claimed, so its status is running; the argument status says how it ended",
            ),
        ],
    )


def test_task_2_keeps_job_ids_out_of_labels(code):
    registry = CollectorRegistry()
    metrics = _build(code, registry)
    job = _job()
    metrics.submitted(job)
    metrics.finished(job, Status.SUCCEEDED, 0.1)
    page = _page(registry)
    assert str(job.task_id) not in page, (
        "the job's id is a label: each job makes a series of its own, and Prometheus keeps every one of them; "
        "count by what is few"
    )
    assert _series(page, "scheduler_jobs_submitted_total"), "submitted(job) counted nothing"


def test_task_2_counts_types_without_a_handler_as_unknown(code):
    registry = CollectorRegistry()
    metrics = _build(code, registry)
    for number in range(20):
        job = _job(f"made-up-{number}")
        metrics.submitted(job)
        metrics.finished(job, Status.FAILED, 0.1)
    why = "anybody can make up types, and each made a series of its own; one without a handler is unknown"
    for name, labels in [
        ("scheduler_jobs_submitted_total", {"priority": "high", "type": "unknown"}),
        ("scheduler_jobs_completed_total", {"type": "unknown", "status": "failed"}),
        ("scheduler_job_duration_seconds_count", {"type": "unknown"}),
    ]:
        _check(
            registry,
            name,
            "submitted(job) and finished(job, failed, 0.1) of 20 jobs of made-up types",
            [(labels, 20.0)],
            [("made-up-7" in str(_series(_page(registry), name)), why)],
        )


def test_task_2_measures_in_seconds(code):
    registry = CollectorRegistry()
    metrics = _build(code, registry)
    for seconds in (0.25, 0.5):
        metrics.finished(_job(), Status.SUCCEEDED, seconds)
    got = _series(_page(registry), "scheduler_job_duration_seconds_sum")
    after = "two jobs that succeeded, in 0.25 s and 0.5 s"
    _check(
        registry,
        "scheduler_job_duration_seconds_sum",
        after,
        [({"type": "noop"}, 0.75)],
        [
            (bool(got) and got[0][1] == 750.0, "those are milliseconds; Prometheus measures in seconds"),
            (bool(got) and got[0][1] == 0.5, "only the last duration is left; observe each"),
        ],
    )
    _check(registry, "scheduler_job_duration_seconds_count", after, [({"type": "noop"}, 2.0)])


def test_task_2_measures_a_handler_that_took_no_time(code):
    registry = CollectorRegistry()
    _build(code, registry).finished(_job(), Status.SUCCEEDED, 0.0)
    _check(
        registry,
        "scheduler_job_duration_seconds_count",
        "finished(job, succeeded, 0.0)",
        [({"type": "noop"}, 1.0)],
        [
            (
                not _series(_page(registry), "scheduler_job_duration_seconds_count"),
                "0.0 seconds is a duration, and it was left out: 0.0 is false in an if, so ask for `is not None`",
            )
        ],
    )


def test_task_2_counts_a_job_whose_duration_nobody_knows(code):
    registry = CollectorRegistry()
    try:
        _build(code, registry).finished(_job(), Status.CANCELLED, None)
    except TypeError as error:
        pytest.fail(
            f"finished(job, status, None) raised {error!r}: None means that nobody knows how long it ran"
        )
    after = "finished(job, cancelled, None)"
    _check(
        registry, "scheduler_jobs_completed_total", after, [({"type": "noop", "status": "cancelled"}, 1.0)]
    )
    measured = sum(value for _, value in _series(_page(registry), "scheduler_job_duration_seconds_count"))
    assert measured == 0, "nobody knows how long this handler ran, and a duration was put down"


def test_task_2_agrees_with_the_reference_on_every_input(judge):
    judge.task(2)


# -- task 3


@pytest.fixture
def serve(code):
    """Serve a registry with the code under test, and stop at the end whatever was started."""
    servers = []

    def start(registry, port=0):
        servers.append(_serve(code, registry, port))
        return servers[-1]

    yield start
    for server in servers:
        with suppress(Exception, pytest.fail.Exception):
            _in_thread(server.close, "")


_never_returns: set[Any] = set()
"""Code whose serve_metrics did not return once. Nobody should have to wait for that in every test."""


def _serve(code, registry, port=0) -> Any:
    too_long = "serve_metrics did not return: it serves where it was called; let a thread of its own do that"
    if code in _never_returns:
        pytest.fail(too_long)
    try:
        server = _in_thread(lambda: code.serve_metrics(registry, port), too_long)
    except pytest.fail.Exception:
        _never_returns.add(code)
        raise
    except RuntimeError as error:
        if "event loop" not in str(error) or isinstance(error, NotImplementedError):
            raise
        pytest.fail(
            f"serve_metrics raised {error!r}: it wants the event loop of its caller. A loop that is busy could not be "
            "scraped then; use a thread"
        )
    _check_shape(server)
    return server


def _check_shape(server: Any) -> None:
    if hasattr(server, "port") and hasattr(server, "close"):
        return
    pytest.fail(
        diagnose(
            "serve_metrics(registry, port)",
            server,
            "an object with port and close()",
            [
                (server is None, "it returned nothing, so nobody can stop it, or learn its port"),
                (
                    isinstance(server, tuple),
                    "a server and its thread; make one object of them that has port and close()",
                ),
            ],
        )
    )


def _in_thread(work: Callable[[], Any], too_long: str, within: float = WITHIN) -> Any:
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(within)
    except TookTooLong:
        pytest.fail(too_long)


def _get(port: int, host: str = "127.0.0.1") -> str:
    with closing(HTTPConnection(host, port, timeout=WITHIN)) as connection:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        body = response.read().decode()
    assert response.status == 200, f"GET /metrics was answered with {response.status}"
    return body


def _registry() -> tuple[CollectorRegistry, Counter]:
    registry = CollectorRegistry()
    return registry, Counter("probe_total", "What the test counts", registry=registry)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _is_open(port: int, host: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def test_task_3_serves_the_metrics_of_this_registry(serve):
    registry, probe = _registry()
    probe.inc(3)
    page = _get(serve(registry).port)
    assert _series(page, "probe_total") == [({}, 3.0)], diagnose(
        "GET /metrics",
        page,
        "the metrics of the registry that was given, with probe_total 3.0",
        [
            (
                "python_info" in page,
                "that is prometheus_client's global registry; pass on the one that was given",
            )
        ],
    )


def test_task_3_shows_what_was_counted_since(serve):
    registry, probe = _registry()
    port = serve(registry).port
    _get(port)
    probe.inc()
    got = _series(_get(port), "probe_total")
    assert got == [({}, 1.0)], diagnose("the second scrape, after one more was counted", got, [({}, 1.0)])


def test_task_3_takes_the_port_that_it_is_given(serve):
    registry, _ = _registry()
    port = _free_port()
    got = serve(registry, port).port
    assert got == port, diagnose("port", got, port)
    _get(port)


def test_task_3_says_which_free_port_it_took(serve):
    registry, _ = _registry()
    got = serve(registry, 0).port
    assert got != 0, (
        "port is still 0: that means any free port, and nobody knows now which; the server knows its own"
    )
    _get(got)


def test_task_3_answers_while_the_event_loop_is_busy(code, serve):
    registry, _ = _registry()
    serve(registry)  # that it returns at all

    async def busy() -> None:
        server = code.serve_metrics(registry, 0)
        try:
            _get(server.port)  # blocks this loop until the answer is there
        finally:
            server.close()

    try:
        _in_thread(
            lambda: asyncio.run(busy()), "the event loop was busy, and /metrics gave no answer", 2 * WITHIN
        )
    except RuntimeError as error:
        if isinstance(error, NotImplementedError):
            raise
        pytest.fail(
            f"the server calls serve_metrics while its event loop runs, and there it raised {error!r}"
        )
    except TimeoutError:
        pytest.fail("the event loop was busy, and /metrics gave no answer: serve from a thread of its own")


def test_task_3_stops_when_it_is_closed(serve):
    registry, _ = _registry()
    server = serve(registry)
    _get(server.port)
    _in_thread(server.close, "close() did not return")
    assert not _is_open(server.port), (
        "close() has returned, and the port still takes connections: stop the loop that serves, and close the socket"
    )


def test_task_3_frees_its_port(serve):
    registry, _ = _registry()
    first = serve(registry)
    _in_thread(first.close, "close() did not return")
    try:
        second = serve(registry, first.port)
    except OSError as error:
        pytest.fail(f"the port is not free after close(): {error}")
    _get(second.port)


def test_task_3_raises_when_the_port_is_taken(serve):
    registry, _ = _registry()
    with socket.create_server(("127.0.0.1", 0)) as other:
        try:
            serve(registry, other.getsockname()[1])
        except OSError:
            return
    pytest.fail(
        "somebody else has this port, and serve_metrics did not raise: take the port first, and start the thread when "
        "you have it"
    )


def test_task_3_listens_on_loopback_unless_told_otherwise(serve):
    registry, _ = _registry()
    port = serve(registry).port
    # All of 127.0.0.0/8 is this machine. Whoever listens on every address hears the second one too.
    assert not _is_open(port, "127.0.0.2"), (
        "the metrics are served on every address of this machine, to anybody who can reach it; listen on `host`"
    )


def test_task_3_agrees_with_the_reference_on_every_input(judge):
    judge.task(3)


# -- task 4


class Refreshing:
    """`refresh_depth` with metrics whose page the test can read."""

    def __init__(self, code, world):
        self._code = code
        self._world = world
        self._registry = CollectorRegistry()
        self._metrics = _build(code, self._registry)

    def __call__(self) -> Any:
        async def refresh_depth(app):
            return await self._code.refresh_depth(replace(app, metrics=self._metrics))

        return self._world.run(refresh_depth)

    def depths(self) -> dict[str, float]:
        return self._by_priority("scheduler_queue_depth")

    def ages(self) -> dict[str, float]:
        return self._by_priority("scheduler_queue_oldest_age_seconds")

    def _by_priority(self, name: str) -> dict[str, float]:
        series = _series(_page(self._registry), name)
        labels = {key for one, _ in series for key in one}
        assert labels <= {"priority"}, (
            f"the labels of {name} are {_words(labels)}, and should be priority alone"
        )
        assert not any(one == {} for one, _ in series), (
            f"{name} has no label: a number for each queue, by its priority"
        )
        return {one["priority"]: value for one, value in series}


def _fill(world, **lengths: int) -> None:
    for name, length in lengths.items():
        world.redis.delete(f"q:{name}")
        if length:
            world.redis.lpush(f"q:{name}", *(f"entry {number}" for number in range(length)))


def _check_depths(got: dict[str, float], when: str, expected: dict[str, float], known=()) -> None:
    assert got == expected, diagnose(
        f"scheduler_queue_depth by priority, {when}",
        got,
        expected,
        [
            (
                not got,
                "nothing was set; refresh_depth tells app.metrics.depth(priority, entries), and that sets the gauge",
            ),
            (
                any(name.startswith("q:") for name in got),
                "the label is the priority, as in high; q:high is the name of the list",
            ),
            *known,
            (
                set(got) < set(expected) and not any(expected[name] for name in set(expected) - set(got)),
                "an empty queue has a length too: 0",
            ),
        ],
    )


def test_task_4_shows_the_length_of_each_queue(code, world):
    refresh = Refreshing(code, world)
    _fill(world, critical=3, high=1, low=2)
    refresh()
    _check_depths(
        refresh.depths(), "after one look", {"critical": 3.0, "high": 1.0, "default": 0.0, "low": 2.0}
    )


def test_task_4_shows_the_present_length_and_no_sum(code, world):
    refresh = Refreshing(code, world)
    _fill(world, critical=3, low=2)
    refresh()
    refresh()
    got = refresh.depths()
    _check_depths(
        got,
        "after two looks at the same queues",
        {"critical": 3.0, "high": 0.0, "default": 0.0, "low": 2.0},
        [
            (
                got.get("critical") == 6.0,
                "two looks at the same queue were added up; set the gauge, do not inc it",
            )
        ],
    )


def test_task_4_shows_that_a_queue_became_empty(code, world):
    refresh = Refreshing(code, world)
    _fill(world, high=4)
    refresh()
    _fill(world, high=0, default=1)
    refresh()
    got = refresh.depths()
    _check_depths(
        got,
        "after a second look, where q:high held 4 at the first and is empty now",
        {"critical": 0.0, "high": 0.0, "default": 1.0, "low": 0.0},
        [
            (
                got.get("high") == 4.0,
                "q:high is empty now, and its gauge stayed at 4: Redis has no key for an empty list, so ask for all "
                "four by name",
            )
        ],
    )


def test_task_4_asks_for_no_second_run_at_once(code, world):
    refresh = Refreshing(code, world)
    _fill(world, low=600)
    got = refresh()
    assert not got, diagnose(
        "refresh_depth",
        got,
        0,
        [
            (
                True,
                "whoever calls it takes the number for work that is left, and calls again at once; return 0",
            )
        ],
    )


def test_task_4_agrees_with_the_reference_on_every_input(judge):
    judge.task(4)


# -- task 5, stretch


def _wait(world, seconds: int, **columns: Any) -> None:
    """A queued job that was pushed so long ago."""
    job = world.insert(**columns)
    world.sql(
        "UPDATE tasks SET queued_at = now() - %s * interval '1 second', pushed_at = now() - %s * interval '1 second' "
        "WHERE task_id = %s",
        seconds,
        seconds,
        job.task_id,
    )


def _refresh_while_away(refresh, what: str) -> None:
    try:
        refresh()
    except (RedisError, Unavailable) as error:
        pytest.fail(
            f"{what} is away, and refresh_depth raised {type(error).__name__}: the gauges keep their old numbers then, "
            "as if nothing had happened; catch it, and set what nobody knows to NaN"
        )


def _check_unknown(got: dict[str, float], what: str, name: str) -> None:
    known = {priority: value for priority, value in got.items() if not math.isnan(value)}
    assert set(got) == set(Priority), diagnose(
        f"the priorities of {name} while {what} is away", sorted(got), sorted(map(str, Priority))
    )
    assert not known, diagnose(
        f"{name} while {what} is away",
        known,
        "NaN for each priority",
        [
            (set(known.values()) == {0.0}, "0 says that nothing waits, and nobody knows that; NaN says so"),
            (True, "that is an old number, and it looks like a fresh one; NaN says that nobody knows"),
        ],
    )


def test_task_5_shows_the_age_of_the_oldest_job_of_each_queue(code, world):
    refresh = Refreshing(code, world)
    _wait(world, 1000, priority="high")
    _wait(world, 100, priority="high")
    _wait(world, 5000, priority="low")
    refresh()
    got = refresh.ages()
    assert set(got) == set(Priority), diagnose(
        "the priorities of scheduler_queue_oldest_age_seconds, where jobs are queued in high and low",
        sorted(got),
        sorted(map(str, Priority)),
        [(set(got) == {"high", "low"}, "those with jobs alone; of a queue without any the age is 0")],
    )
    assert 1000 <= got["high"] < 1100, diagnose(
        "the age of the oldest job in the queue high, of two that wait 1000 s and 100 s",
        got["high"],
        "about 1000",
        [
            (100 <= got["high"] < 200, "that is the youngest job"),
            (got["high"] > 100_000, "that is not in seconds, or it is a time and no age"),
            (got["high"] < 0, "an age is now less then, not the other way round"),
        ],
    )
    assert 5000 <= got["low"] < 5100, diagnose(
        "the age of the oldest job in the queue low", got["low"], "about 5000"
    )


def test_task_5_shows_0_when_nobody_waits(code, world):
    refresh = Refreshing(code, world)
    for status in ("running", "retry", "succeeded", "cancelled"):
        world.insert(status)
    refresh()
    got = refresh.ages()
    expected = dict.fromkeys(map(str, Priority), 0.0)
    assert got == expected, diagnose(
        "scheduler_queue_oldest_age_seconds where no job is queued",
        got,
        expected,
        [
            (
                any(value > 0 for value in got.values()),
                "only queued jobs wait; others are somewhere else by now",
            )
        ],
    )


def test_task_5_goes_back_to_0_when_the_queue_is_empty(code, world):
    refresh = Refreshing(code, world)
    _wait(world, 1000, priority="high")
    refresh()
    world.sql("DELETE FROM tasks")
    refresh()
    got = refresh.ages()["high"]
    assert got == 0.0, diagnose("the oldest age of a queue that became empty", got, 0.0)


@pytest.mark.can_go_away("redis")
def test_task_5_says_that_nobody_knows_the_depth_while_redis_is_away(code, world):
    refresh = Refreshing(code, world)
    _fill(world, high=4)
    refresh()
    world.proxies["redis"].cut()
    _refresh_while_away(refresh, "Redis")
    _check_unknown(refresh.depths(), "Redis", "scheduler_queue_depth")


@pytest.mark.can_go_away("redis")
def test_task_5_still_shows_the_age_while_redis_is_away(code, world):
    refresh = Refreshing(code, world)
    _wait(world, 1000, priority="high")
    refresh()
    world.proxies["redis"].cut()
    world.sql(
        "UPDATE tasks SET queued_at = queued_at - interval '1 hour', pushed_at = pushed_at - interval '1 hour'"
    )
    _refresh_while_away(refresh, "Redis")
    got = refresh.ages()["high"]
    assert got >= 4600, diagnose(
        "the oldest age, of about 4600 s, while Redis is away",
        got,
        "about 4600",
        [
            (math.isnan(got), "the database is there, and knows it; only what Redis knows is unknown"),
            (
                got < 4600,
                "that is an old number: a failure of Redis must not keep you from asking the database",
            ),
        ],
    )


@pytest.mark.can_go_away("database")
def test_task_5_says_that_nobody_knows_the_age_while_the_database_is_away(code, world):
    refresh = Refreshing(code, world)
    _wait(world, 1000, priority="high")
    refresh()
    world.lose_database(wait_seconds=0.3)
    _fill(world, low=2)
    _refresh_while_away(refresh, "the database")
    _check_unknown(refresh.ages(), "the database", "scheduler_queue_oldest_age_seconds")
    got = refresh.depths()
    assert got["low"] == 2.0, diagnose(
        "the depth of q:low, which holds 2, while the database is away", got["low"], 2.0
    )


@pytest.mark.can_go_away("redis")
def test_task_5_shows_numbers_again_when_redis_is_back(code, world):
    refresh = Refreshing(code, world)
    refresh()
    world.proxies["redis"].cut()
    _refresh_while_away(refresh, "Redis")
    world.proxies["redis"].mend()
    _fill(world, default=2)
    refresh()
    _check_depths(
        refresh.depths(),
        "after Redis was away at one look, and is back at the next",
        {"critical": 0.0, "high": 0.0, "default": 2.0, "low": 0.0},
    )


def test_task_5_agrees_with_the_reference_on_every_input(judge):
    judge.task(5)


# -- task 6, stretch


def _call(world, method, **fields) -> Any:
    _can_start(world.code)
    try:
        return world.call(method, **fields)
    except RpcFailed as failed:
        _explain(failed)
        raise


def _stream(world, **fields) -> Any:
    _can_start(world.code)
    return world.stream("WatchJob", **fields)


def _can_start(code) -> None:
    """A server whose serve_metrics never returns would never start: say so, and do not wait for it each time."""
    if code not in _tried:
        _tried.add(code)
        with suppress(Exception, pytest.fail.Exception):
            _serve(code, CollectorRegistry()).close()
    if code in _never_returns:
        _serve(code, CollectorRegistry())


_tried: set[Any] = set()


def _explain(failed: RpcFailed) -> None:
    """What an interceptor raises itself is met by gRPC, and only the client is told of it."""
    marker = "07_metrics task"
    if marker in failed.details:
        raise NotImplementedError(failed.details[failed.details.index(marker) :])
    if "has no attribute '_wrapped'" in failed.details:
        pytest.fail("the base class was never initialized: call super().__init__() in your __init__")
    if failed.code is grpc.StatusCode.UNKNOWN:
        pytest.fail(f"an error in the interceptor reached the client: {failed.details}")


def _next(stream) -> Any:
    try:
        return stream.next()
    except RpcFailed as failed:
        _explain(failed)
        raise


def _counted(world, method: str, code: str, times: int = 1) -> None:
    """Wait until this many calls of the method are counted with this code, and none with another."""
    expected = [({"method": method, "code": code}, float(times))]

    def calls() -> list[tuple[dict[str, str], float]]:
        everything = _series(world.scrape(), "scheduler_grpc_requests_total")
        return [one for one in everything if one[1] and method in one[0].get("method", method)]

    try:
        world.until(lambda: calls() == expected, "the call was counted", within=4)
    except Hang:
        got = calls()
        codes = {labels.get("code") for labels, _ in got}
        known = [
            (
                not got,
                f"nothing was counted, and the call has ended with {code}. Does your interceptor call answered(…), and "
                "have you written answered in metrics.py? Until then it is NoMetrics' own, which counts nothing",
            ),
            ("/" in str(got), "the method is its name alone, as around_unary is given it"),
            (codes == {"OK"} != {code}, f"counted as OK, and the client got {code}; code_of says which"),
            (sum(value for _, value in got) > times, "counted more than once"),
        ]
        name = f"scheduler_grpc_requests_total of {method}"
        pytest.fail(diagnose(name, _lines(got, at_most=3), _lines(expected), known))


def test_task_6_counts_a_call_that_went_well(world):
    job = world.insert()
    _call(world, "GetJob", job_id=job.task_id)
    _call(world, "GetJob", job_id=job.task_id)
    _counted(world, "GetJob", "OK", times=2)


def test_task_6_answers_what_the_method_answers(world):
    job = world.insert()
    got = _call(world, "GetJob", job_id=job.task_id)
    assert got.job_id == str(job.task_id), diagnose(
        "GetJob behind the interceptor", got, "the JobStatus of the job"
    )


def test_task_6_measures_how_long_a_call_took(world):
    job = world.insert()
    _call(world, "GetJob", job_id=job.task_id)
    name = "scheduler_grpc_request_seconds_count"
    expected = ({"method": "GetJob"}, 1.0)
    try:
        world.until(lambda: expected in _series(world.scrape(), name), "the time was put down", within=4)
    except Hang:
        got = [one for one in _series(world.scrape(), name) if one[0].get("method") == "GetJob"]
        pytest.fail(diagnose(name, got, [expected], [(not got, "no time was put down for GetJob")]))


def test_task_6_counts_a_call_that_was_refused(world):
    for _ in range(2):
        with pytest.raises(RpcFailed):
            _call(world, "GetJob", job_id=uuid4())
    _counted(world, "GetJob", "NOT_FOUND", times=2)


def test_task_6_counts_a_call_when_it_has_ended(world):
    job = world.insert("running")
    _can_start(world.code)
    with world.locked(job, status="succeeded") as other:
        calling = world.begin("CancelJob", job_id=job.task_id)
        other.wait_for(calling)
        early = [
            one for one in _series(world.scrape(), "scheduler_grpc_requests_total") if "CancelJob" in str(one)
        ]
        other.commit()
    try:
        calling.result()
    except RpcFailed as failed:
        _explain(failed)
        raise
    assert not early, (
        "the call was counted while it still ran: nobody knows its code or its time before its end"
    )
    _counted(world, "CancelJob", "OK")


def test_task_6_passes_each_event_of_a_stream_on(world):
    job = world.insert()
    stream = _stream(world, job_id=job.task_id)
    try:
        versions = [_next(stream).version]
    except Hang:
        pytest.fail(
            "the watch is open, and its first event did not come through: pass on each event when it comes"
        )
    for status in ("running", "succeeded"):
        job = world.update(job, status, hint=True)
        versions.append(_next(stream).version)
    stream.end()
    assert versions == [1, 2, 3], diagnose(
        "the versions of a watch behind the interceptor", versions, [1, 2, 3]
    )


def test_task_6_counts_a_stream_when_it_has_ended(world):
    job = world.insert()
    stream = _stream(world, job_id=job.task_id)
    _next(stream)
    early = [
        one for one in _series(world.scrape(), "scheduler_grpc_requests_total") if "WatchJob" in str(one)
    ]
    assert not early, "the stream was counted while it was open: nobody knows its code before its end"
    world.update(job, "succeeded", hint=True)
    _next(stream)
    stream.end()
    _counted(world, "WatchJob", "OK")


def test_task_6_counts_a_stream_that_was_refused(world):
    stream = _stream(world, job_id=uuid4())
    with pytest.raises(RpcFailed) as caught:
        _next(stream)
    assert caught.value.code is grpc.StatusCode.NOT_FOUND, diagnose(
        "a watch of an unknown job, behind the interceptor", caught.value.code.name, "NOT_FOUND"
    )
    _counted(world, "WatchJob", "NOT_FOUND")


def test_task_6_counts_a_stream_that_its_client_left(world):
    stream = _stream(world, job_id=world.insert().task_id)
    _next(stream)
    stream.leave()
    _counted(world, "WatchJob", "CANCELLED")


def test_task_6_shows_how_many_watches_are_open(world):
    first, second = (_stream(world, job_id=world.insert().task_id) for _ in range(2))
    _next(first)
    _next(second)
    _open_watches(world, 2, "two streams are open")
    first.leave()
    _open_watches(world, 1, "one of two streams was left by its client")
    second.leave()
    _open_watches(world, 0, "both streams were left by their clients")


def test_task_6_counts_only_the_watches_of_jobs_as_open(code):
    changes = []

    class Noting(NoMetrics):
        def watching(self, change: int) -> None:
            changes.append(change)

    async def read_all() -> None:
        stream = await _through(code, Noting(), "/grpc.health.v1.Health/Watch", _two_events)
        if hasattr(stream, "__aiter__"):
            async for _ in stream:
                pass
        else:
            await stream  # it writes its events to the context

    asyncio.run(read_all())
    assert not any(changes), (
        "the health service's stream, Watch, was counted as an open watch. Only WatchJob is one: look at the name"
    )


def test_task_6_closes_the_generator_within(code):
    ended = []

    async def events(request, context):
        try:
            async for event in _two_events(request, context):
                yield event
        finally:
            ended.append("the inner generator")

    async def leave_early() -> bool:
        stream = await _through(code, NoMetrics(), "/scheduler.v1.SchedulerService/WatchJob", events)
        if not hasattr(stream, "aclose"):
            await stream  # a coroutine, which nobody can close half-way
            return True
        await anext(stream)
        await stream.aclose()
        return bool(ended)

    assert asyncio.run(leave_early()), (
        "your generator was closed, and the one within it is still open, with its finally to run: "
        "contextlib.aclosing closes it in time"
    )


def test_task_6_agrees_with_the_reference_on_every_input(judge):
    judge.task(6)


async def _through(code, metrics: NoMetrics, method: str, events: Any) -> Any:
    """The stream that the interceptor makes of `events`, as grpc.aio would ask it for one."""

    async def find(details: Any) -> Any:
        return grpc.unary_stream_rpc_method_handler(events)

    details = SimpleNamespace(method=method, invocation_metadata=())
    handler = await code.MetricsInterceptor(metrics).intercept_service(find, details)
    return handler.unary_stream(None, SimpleNamespace(code=lambda: None, write=_ignore))


async def _ignore(event: Any) -> None:
    """Takes an event, as a context's `write` does."""


async def _two_events(request, context):
    yield 1
    yield 2


def _open_watches(world, expected: int, when: str) -> None:
    def watches() -> list[float]:
        return [value for _, value in _series(world.scrape(), "scheduler_watch_streams")]

    try:
        world.until(lambda: watches() == [float(expected)], "the streams were counted", within=4)
    except Hang:
        got = watches()
        pytest.fail(
            diagnose(
                f"scheduler_watch_streams while {when}",
                got,
                [float(expected)],
                [
                    (not got, "there is no such metric"),
                    (
                        bool(got) and got[0] > expected,
                        "a stream that is gone still counts; count down in a finally",
                    ),
                ],
            )
        )
