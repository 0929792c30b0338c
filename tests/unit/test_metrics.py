"""The metrics: what they are called, which labels they have, and the port that shows them."""

import asyncio
import math
import socket
import threading
from dataclasses import replace
from uuid import uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from scheduler import metrics, metrics_server
from scheduler.app import open_app
from scheduler.entry import Entry
from scheduler.jobs import Priority, Status
from scheduler.metrics import build_metrics, refresh_depth, serve_metrics
from scheduler.metrics_interceptor import MetricsInterceptor
from scheduler.parts import reference
from scheduler.worker.one_job import Outcome

from tests.helpers import submit, until
from tests.patience import SECONDS, within
from tests.proxies import proxied_database, proxied_redis

DESIGN = {
    "jobs_submitted_total": ("counter", {"priority", "type"}),
    "jobs_completed_total": ("counter", {"type", "status"}),
    "job_duration_seconds": ("histogram", {"type"}),
    "job_wait_seconds": ("histogram", {"priority"}),
    "queue_depth": ("gauge", {"priority"}),
    "queue_oldest_age_seconds": ("gauge", {"priority"}),
    "jobs_inflight": ("gauge", set()),
    "job_retries_total": ("counter", {"type"}),
    "leases_expired_total": ("counter", set()),
    "stale_writes_total": ("counter", set()),
    "entries_repushed_total": ("counter", set()),
    "push_failures_total": ("counter", set()),
    "watch_streams": ("gauge", set()),
    "grpc_requests_total": ("counter", {"method", "code"}),
    "grpc_request_seconds": ("histogram", {"method"}),
}
BESIDE = {
    # What other hands put into the queues.
    "malformed_entries_total": ("counter", set()),
    "unknown_types_total": ("counter", set()),
    "unknown_entries_total": ("counter", set()),
}


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
async def counted(settings, registry):
    """An app whose metrics are in `registry`."""
    async with open_app(settings, reference(), registry) as opened:
        yield opened


def value(registry, name, **labels):
    return registry.get_sample_value(f"scheduler_{name}", labels)


async def touch_everything(app):
    """Have each metric say something."""
    task_id = await submit(app, priority=Priority.HIGH)
    [job] = await app.parts.claim(app, [Entry(task_id, "noop", Priority.HIGH)])
    metrics = app.metrics
    metrics.submitted(job)
    metrics.started(job)
    metrics.finished(job, Status.SUCCEEDED, 0.5)
    metrics.retried(job)
    metrics.inflight(1)
    metrics.leases_expired(1)
    metrics.stale_write()
    metrics.entries_repushed(1)
    metrics.push_failed()
    metrics.malformed_entry()
    metrics.unknown_entries(1)
    metrics.watching(1)
    metrics.answered("GetJob", "OK", 0.1)
    await app.parts.refresh_depth(app)
    return job


async def test_names_types_and_labels_are_those_of_the_design(counted, registry):
    await touch_everything(counted)
    server = serve_metrics(registry, 0)
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            text = (await http.get(f"http://127.0.0.1:{server.port}/metrics")).text
    finally:
        server.close()
    found = {}
    for family in text_string_to_metric_families(text):
        if family.name.endswith("_created"):
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert name.startswith("scheduler_")
        assert family.documentation.strip()
        found[name.removeprefix("scheduler_")] = (family.type, labels)
    assert found == DESIGN | BESIDE


async def test_no_label_is_ever_a_job_id(counted, registry):
    job = await touch_everything(counted)
    values = {
        text
        for family in registry.collect()
        for sample in family.samples
        for text in (*sample.labels.values(), *sample.labels)
    }
    assert not any(str(job.task_id) in text for text in values)


async def test_a_type_that_nobody_registered_counts_as_unknown(counted, registry):
    for number in range(20):
        await submit(counted, f"type {number} {uuid4()}")
    await submit(counted, "noop")
    assert value(registry, "jobs_submitted_total", priority="default", type="unknown") == 20
    assert value(registry, "jobs_submitted_total", priority="default", type="noop") == 1
    types = {
        sample.labels["type"]
        for family in registry.collect()
        for sample in family.samples
        if "type" in sample.labels
    }
    assert types == {"unknown", "noop"}


async def test_an_attempt_is_measured_from_queue_to_end(counted, registry):
    task_id = await submit(counted, priority=Priority.LOW)
    [job] = await counted.parts.claim(counted, [Entry(task_id, "noop", Priority.LOW)])
    counted.metrics.started(job)
    counted.metrics.finished(job, Status.FAILED, 2.0)
    counted.metrics.finished(job, Status.CANCELLED, None)
    assert value(registry, "job_wait_seconds_count", priority="low") == 1
    assert value(registry, "job_wait_seconds_sum", priority="low") >= 0
    assert value(registry, "job_duration_seconds_count", type="noop") == 1
    assert value(registry, "job_duration_seconds_sum", type="noop") == 2
    assert value(registry, "jobs_completed_total", type="noop", status="failed") == 1
    assert value(registry, "jobs_completed_total", type="noop", status="cancelled") == 1


def test_two_registries_count_apart():
    first, second = CollectorRegistry(), CollectorRegistry()
    build_metrics(first).stale_write()
    build_metrics(second)
    assert value(first, "stale_writes_total") == 1
    assert value(second, "stale_writes_total") == 0


async def test_a_watch_that_is_closed_between_two_events_is_one_that_its_client_left(registry):
    async def watch(request, context):
        yield "first"
        yield "second"

    metrics = build_metrics(registry)
    events = MetricsInterceptor(metrics).around_stream("WatchJob", watch)(None, None)
    assert await anext(events) == "first"
    assert value(registry, "watch_streams") == 1
    await events.aclose()
    assert value(registry, "watch_streams") == 0
    assert value(registry, "grpc_requests_total", method="WatchJob", code="CANCELLED") == 1


# --- depth and age


def depths(registry):
    return {str(priority): value(registry, "queue_depth", priority=priority) for priority in Priority}


def ages(registry):
    return {
        str(priority): value(registry, "queue_oldest_age_seconds", priority=priority) for priority in Priority
    }


async def test_the_depth_of_each_queue_is_shown(counted, registry):
    for number, priority in enumerate(Priority):
        for _ in range(number):
            await submit(counted, priority=priority)
    await refresh_depth(counted)
    assert depths(registry) == {"critical": 0, "high": 1, "default": 2, "low": 3}


async def test_a_queue_that_emptied_shows_zero(counted, registry):
    await submit(counted, priority=Priority.HIGH)
    await refresh_depth(counted)
    assert depths(registry)["high"] == 1
    [entry] = await counted.parts.take(counted, 10)
    assert await counted.parts.claim(counted, [entry])
    await refresh_depth(counted)
    assert depths(registry) == dict.fromkeys(map(str, Priority), 0)
    assert ages(registry) == dict.fromkeys(map(str, Priority), 0)


async def test_the_age_is_that_of_the_job_that_waits_longest(counted, registry):
    for seconds in (5, 100, 20):
        task_id = await submit(counted, priority=Priority.LOW)
        await counted.db.fetch_all(
            "UPDATE tasks SET queued_at = now() - age, pushed_at = now() - age"
            " FROM (SELECT %s * interval '1 second' AS age) AS v WHERE task_id = %s",
            [seconds, task_id],
        )
    await refresh_depth(counted)
    found = ages(registry)
    assert 100 <= found.pop("low") < 130
    assert found == {"critical": 0, "high": 0, "default": 0}


async def test_jobs_that_do_not_wait_have_no_age(counted, registry):
    ran, retried = await submit(counted), await submit(counted)
    jobs = await counted.parts.claim(
        counted, [Entry(one, "noop", Priority.DEFAULT) for one in (ran, retried)]
    )
    await counted.parts.finish(counted, jobs[0], Outcome(Status.SUCCEEDED))
    await counted.parts.finish(counted, jobs[1], Outcome(Status.RETRY, "why", delay=60))
    await counted.db.fetch_all("UPDATE tasks SET queued_at = now() - interval '1 hour'")
    await refresh_depth(counted)
    assert ages(registry) == dict.fromkeys(map(str, Priority), 0)


async def test_what_can_not_be_known_while_redis_is_away_is_no_number(settings, registry):
    async with proxied_redis(settings) as (through, redis), open_app(through, reference(), registry) as app:
        await submit(app)
        await refresh_depth(app)
        assert depths(registry)["default"] == 1
        await redis.refuse()
        await refresh_depth(app)
        assert all(map(math.isnan, depths(registry).values()))
        assert not any(map(math.isnan, ages(registry).values()))
        await redis.restore()
        await refresh_depth(app)
        assert depths(registry)["default"] == 1


async def test_what_can_not_be_known_while_the_database_is_away_is_no_number(settings, registry):
    quick = settings.model_copy(update={"database_wait_seconds": 0.2})
    async with (
        proxied_database(quick) as (through, database),
        open_app(through, reference(), registry) as app,
    ):
        await submit(app)
        await refresh_depth(app)
        await database.refuse()
        await refresh_depth(app)
        assert all(map(math.isnan, ages(registry).values()))
        assert depths(registry)["default"] == 1
        await database.restore()


async def test_a_database_that_says_nothing_holds_up_no_gauge(app, registry, monkeypatch):
    async def says_nothing(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr(metrics, "SILENCE_SECONDS", 0.01)
    silent = replace(app, metrics=build_metrics(registry))
    monkeypatch.setattr(app.db, "fetch_all", says_nothing)
    await within(refresh_depth(silent), "the gauges are refreshed")
    assert all(map(math.isnan, ages(registry).values()))


# --- the port


@pytest.fixture
async def http():
    async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
        yield client


async def test_the_port_shows_metrics_and_health_and_nothing_else(http, registry):
    build_metrics(registry).stale_write()
    server = serve_metrics(registry, 0)
    try:
        base = f"http://127.0.0.1:{server.port}"
        page = await http.get(f"{base}/metrics")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/plain")
        assert "scheduler_stale_writes_total 1.0" in page.text
        assert (await http.get(f"{base}/healthz")).status_code == 200
        assert (await http.get(f"{base}/readyz")).status_code == 200
        for path in ("", "/", "/metricsx", "/metrics/x", "/favicon.ico"):
            assert (await http.get(base + path)).status_code == 404
    finally:
        server.close()


async def test_ready_is_asked_anew_each_time_and_alive_is_not_ready(http, registry):
    ready = [True]
    server = serve_metrics(registry, 0, is_ready=lambda: ready[0])
    try:
        base = f"http://127.0.0.1:{server.port}"
        for state, code in ((True, 200), (False, 503), (True, 200)):
            ready[0] = state
            assert (await http.get(f"{base}/readyz")).status_code == code
            assert (await http.get(f"{base}/healthz")).status_code == 200
    finally:
        server.close()


async def test_closing_frees_the_port(registry):
    first = serve_metrics(registry, 0)
    first.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", first.port)) != 0
    second = serve_metrics(registry, first.port)
    assert second.port == first.port
    second.close()


async def test_a_port_that_is_taken_is_an_error(registry):
    first = serve_metrics(registry, 0)
    try:
        with pytest.raises(OSError, match=r"in use"):
            serve_metrics(registry, first.port)
    finally:
        first.close()


async def test_silent_connections_make_room_and_few_threads(registry, monkeypatch):
    monkeypatch.setattr(metrics_server, "SILENT_SECONDS", 3600)  # nothing but the number closes one
    server = serve_metrics(registry, 0)
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
            assert (await http.get(f"http://127.0.0.1:{server.port}/healthz")).status_code == 200

        async def few_threads():
            return sum("process_request" in thread.name for thread in threading.enumerate()) <= 17

        await until(few_threads, "as many threads are left as connections may be open")
    finally:
        for one in silent:
            one.close()
        server.close()


def test_a_silent_connection_is_closed(registry, monkeypatch):
    monkeypatch.setattr(metrics_server, "SILENT_SECONDS", 0.05)
    server = serve_metrics(registry, 0)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as silent:
            assert silent.recv(1) == b""
    finally:
        server.close()


@pytest.mark.parametrize("host", ["::1", "[::1]"])
async def test_the_metrics_have_an_ipv6_address(registry, host):
    server = serve_metrics(registry, 0, host)
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
            assert (await http.get(f"http://[::1]:{server.port}/healthz")).status_code == 200
    finally:
        server.close()
