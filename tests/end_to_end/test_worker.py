"""A worker at work: jobs go in through the queue, and what the rows, Redis and the metrics say afterwards is right."""

import asyncio
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from scheduler.app import App
from scheduler.hints import LEASES, dead_letters
from scheduler.job_queue import encode_entry, queue_name
from scheduler.jobs import Job, PermanentError, Priority, Status
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker.handlers import Handler, handlers, must_stop
from scheduler.worker.one_job import Outcome
from scheduler.worker.service import running_worker
from scheduler.worker.worker import MOST_HELD

from tests import under_test
from tests.faults.tools import (
    Gate,
    attempt_rows,
    by_label,
    counted,
    handling,
    opened,
    queued_ids,
    row,
    rows,
    short_pops,  # noqa: F401
    working,
)
from tests.helpers import submit, until, until_status
from workbook.sandbox import Servers

TERMINAL = [status for status in Status if status.is_terminal]
NO_CONTEXT: Any = None


async def until_all_ended(app: App) -> dict[UUID, Job]:
    async def look() -> dict[UUID, Job] | None:
        jobs = await rows(app)
        return jobs if all(job.status.is_terminal for job in jobs.values()) else None

    return await until(look, "every job ended")


def payload(**fields: Any) -> dict[str, str]:
    return {"payload_json": json.dumps(fields)}


# Handlers


@pytest.mark.parametrize(
    ("type", "fields", "max_attempts", "status", "attempts"),
    [
        ("noop", {}, 3, Status.SUCCEEDED, 1),
        ("sleep", {"seconds": 0.01}, 3, Status.SUCCEEDED, 1),
        ("sleep", {"seconds": "long"}, 3, Status.FAILED, 1),
        ("flaky", {"failures": 2}, 3, Status.SUCCEEDED, 3),
        ("flaky", {"failures": 2}, 2, Status.DEADLETTER, 2),
        ("always_fail", {}, 2, Status.DEADLETTER, 2),
        ("always_fail", {"permanent": True}, 3, Status.FAILED, 1),
        ("db_tx", {"note": "done"}, 3, Status.SUCCEEDED, 1),
        ("http_call", {"url": "ftp://example.com"}, 3, Status.FAILED, 1),
        ("http_call", {"url": "http://127.0.0.1:9/"}, 3, Status.FAILED, 1),
    ],
)
async def test_a_job_ends_as_its_handler_says(
    backends: Servers, type: str, fields: dict[str, Any], max_attempts: int, status: Status, attempts: int
) -> None:
    async with working(backends) as (app, _):
        task_id = await submit(app, type, max_attempts=max_attempts, **payload(**fields))
        job = await until_status(app, task_id, *TERMINAL)
        assert (job.status, job.attempts) == (status, attempts)
        assert (job.last_error is None) == (status is Status.SUCCEEDED)
        assert [number for number, _, _ in await attempt_rows(app, task_id)] == list(range(1, attempts + 1))
        assert job.worker is None
        assert job.lease_expires_at is None


@pytest.mark.of_reference
async def test_a_job_that_no_worker_has_a_handler_for_ends_after_its_attempts(backends: Servers) -> None:
    quick = {"unknown_type_seconds": 0.01, "retry_base_seconds": 0.01}
    async with working(backends, **quick) as (app, worker):
        task_id = await submit(app, "nobody_has_registered_this", max_attempts=2)
        job = await until_status(app, task_id, *TERMINAL)
        assert (job.status, job.attempts) == (Status.DEADLETTER, 2)
        assert "nobody_has_registered_this" in str(job.last_error)
        assert counted(worker.metrics.unknown_types_total) >= 2


@asynccontextmanager
async def web_server(answers: list[str], seen: list[bytes]) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        status = answers.pop(0)
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_http_call_retries_what_the_server_may_mend_and_fails_what_it_will_not(
    backends: Servers,
) -> None:
    seen: list[bytes] = []
    answers = ["503 Busy", "429 Slow down", "200 OK", "404 Not Found"]
    async with (
        web_server(answers, seen) as port,
        working(backends, http_call_allow_private=True) as (app, _),
    ):
        url = f"http://127.0.0.1:{port}/hook"
        mended = await submit(app, "http_call", **payload(url=url, method="POST", json={"a": 1}))
        assert (await until_status(app, mended, *TERMINAL)).status is Status.SUCCEEDED
        assert [ok for _, ok, _ in await attempt_rows(app, mended)] == [False, False, True]
        wrong = await submit(app, "http_call", **payload(url=url))
        assert (await until_status(app, wrong, *TERMINAL)).status is Status.FAILED
        assert f"Idempotency-Key: {mended}".encode().lower() in seen[0].lower()


async def test_db_tx_has_one_effect_however_often_it_runs(backends: Servers) -> None:
    async with working(backends) as (app, _):
        task_id = await submit(app, "db_tx", **payload(note="once"))
        await until_status(app, task_id, Status.SUCCEEDED)
        # As after a crash between the work and the finish: the same job runs again.
        await app.db.fetch_all(
            "UPDATE tasks SET status = 'deadletter' WHERE task_id = %s RETURNING 1", [task_id]
        )
        answer = await app.parts.requeue_job(app, pb.RequeueJobRequest(job_id=str(task_id)), NO_CONTEXT)
        assert answer.requeued
        await until_status(app, task_id, Status.SUCCEEDED)
        assert (await row(app, task_id)).attempts == 2
        effects = await app.db.fetch_all("SELECT task_id, note FROM db_tx_effects")
        assert effects == [{"task_id": task_id, "note": "once"}]


async def test_a_payload_that_python_cannot_read_fails_its_own_job_only(backends: Servers) -> None:
    async with opened(backends) as app:
        # jsonb writes 1e5000 out, digit by digit, and Python's parser refuses integers that long.
        bad = [await submit(app, "sleep", payload_json='{"seconds": 1e5000}')]
        bad.append(await submit(app, "db_tx", payload_json='{"note": 1e5000}'))
        good = [await submit(app, "sleep", payload_json='{"seconds": 0}') for _ in range(5)]
        async with running_worker(app.settings, under_test.parts()):
            for task_id in bad:
                job = await until_status(app, task_id, *TERMINAL)
                assert (job.status, job.attempts) == (Status.FAILED, 1)
            for task_id in good:
                assert (await until_status(app, task_id, *TERMINAL)).status is Status.SUCCEEDED


# Errors


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class UnspeakableExit(Exception):
    def __str__(self) -> str:
        raise SystemExit(6)


class Base(BaseException):
    pass


WEIRD: dict[str, BaseException] = {
    "exit": SystemExit(3),
    "nul": RuntimeError("before\0after"),
    "surrogate": RuntimeError("half \ud800 of a pair"),
    "unspeakable": Unspeakable(),
    "huge": RuntimeError("x" * 3_000_000),
    "silent": RuntimeError(),
    "stop_iteration": StopIteration("next() of nothing"),
    "timeout": TimeoutError("somebody else's"),
    "cancelled": asyncio.CancelledError("the handler's own"),
    "group": ExceptionGroup("several", [ValueError("one"), OSError("two")]),
    "not_text": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    "interrupt": KeyboardInterrupt("somebody pressed Ctrl-C"),
    "generator_exit": GeneratorExit("of the handler's own"),
    "base": Base("more than an Exception"),
    "group_of_exits": BaseExceptionGroup("several", [SystemExit(5), ValueError("beside it")]),
    "unspeakable_exit": UnspeakableExit(),
}


@pytest.mark.of_reference
@pytest.mark.parametrize("blocking", [False, True], ids=["async", "plain"])
async def test_whatever_a_handler_raises_is_an_attempt_that_failed_and_no_more(
    backends: Servers, blocking: bool
) -> None:
    def plain(app: App, job: Job) -> None:
        raise WEIRD[job.payload["kind"]]

    async def coroutine(app: App, job: Job) -> None:
        plain(app, job)

    handler: Handler = plain if blocking else coroutine
    with handling(raises=handler):
        async with working(backends, handler_timeout_seconds=60) as (app, worker):
            ids = {kind: await submit(app, "raises", max_attempts=1, **payload(kind=kind)) for kind in WEIRD}
            ended = {kind: await until_status(app, task_id, *TERMINAL) for kind, task_id in ids.items()}
            for kind, job in ended.items():
                assert (kind, job.status, job.attempts) == (kind, Status.DEADLETTER, 1)
                assert job.last_error
                assert 0 < len(job.last_error) <= 2_000
                assert await attempt_rows(app, job.task_id) == [(1, False, job.last_error)]
            assert "sys.exit(3)" in str(ended["exit"].last_error)
            assert "beforeafter" in str(ended["nul"].last_error)
            assert "Unspeakable" in str(ended["unspeakable"].last_error)
            assert "somebody else's" in str(ended["timeout"].last_error)
            assert "StopIteration" in str(ended["stop_iteration"].last_error)
            assert "ValueError: one; OSError: two" in str(ended["group"].last_error)
            assert "KeyboardInterrupt: somebody pressed" in str(ended["interrupt"].last_error)
            assert "GeneratorExit: of the handler's own" in str(ended["generator_exit"].last_error)
            assert "Base: more than an Exception" in str(ended["base"].last_error)
            assert "SystemExit: 5" in str(ended["group_of_exits"].last_error)
            assert (await until_status(app, await submit(app), *TERMINAL)).status is Status.SUCCEEDED
            assert counted(worker.metrics.stale_writes) == 0


async def exits() -> None:
    await asyncio.sleep(0)
    sys.exit(7)


async def exit_in_a_group(app: App, job: Job) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(exits())
        group.create_task(asyncio.sleep(600))


async def exit_in_a_gather(app: App, job: Job) -> None:
    await asyncio.gather(exits(), asyncio.sleep(0))


async def exit_in_a_task(app: App, job: Job) -> None:
    await asyncio.create_task(exits())


async def closed_by_a_task(app: App, job: Job) -> None:
    async def closes() -> None:
        await asyncio.sleep(0)
        raise GeneratorExit("early")

    await asyncio.create_task(closes())


async def stop_iteration_in_a_thread(app: App, job: Job) -> None:
    await asyncio.to_thread(next, iter([]))


async def exit_in_a_thread(app: App, job: Job) -> None:
    await asyncio.to_thread(sys.exit, 7)


async def cancels_itself(app: App, job: Job) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("enough")
    await asyncio.sleep(600)


@pytest.mark.of_reference
@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (exit_in_a_group, "sys.exit(7)"),
        (exit_in_a_gather, "sys.exit(7)"),
        (exit_in_a_task, "sys.exit(7)"),
        (exit_in_a_thread, "sys.exit(7)"),
        (closed_by_a_task, "GeneratorExit: early"),
        (stop_iteration_in_a_thread, "StopIteration"),
        (cancels_itself, "a cancellation of its own"),
    ],
)
async def test_what_a_handler_s_own_tasks_raise_touches_no_other_job(
    backends: Servers, handler: Handler, why: str
) -> None:
    gate = Gate()
    with handling(raises=handler, hold=gate):
        async with working(backends, handler_timeout_seconds=60) as (app, _):
            beside = await submit(app, "hold", max_attempts=1)
            await until(lambda: bool(gate.started), "the job beside it runs")
            task_id = await submit(app, "raises", max_attempts=1)
            job = await until_status(app, task_id, *TERMINAL)
            assert job.status is Status.DEADLETTER
            assert why in str(job.last_error)
            assert not gate.cancelled
            gate.opened.set()
            assert (await until_status(app, beside, *TERMINAL)).status is Status.SUCCEEDED


@pytest.mark.of_reference
async def test_a_handler_that_takes_too_long_is_stopped_and_its_attempt_says_so(backends: Servers) -> None:
    def waits_to_be_told(app: App, job: Job) -> None:
        while not must_stop():
            time.sleep(0.005)

    with handling(overruns=waits_to_be_told):
        async with working(backends, handler_timeout_seconds=0.1) as (app, _):
            ids = [await submit(app, "sleep", max_attempts=2, **payload(seconds=600))]
            ids.append(await submit(app, "overruns", max_attempts=2))
            for task_id in ids:
                job = await until_status(app, task_id, *TERMINAL)
                assert (job.status, job.last_error) == (Status.DEADLETTER, "timed out after 0.1 s")
                assert [error for _, _, error in await attempt_rows(app, task_id)] == [job.last_error] * 2
            await until(lambda: app.handlers.abandoned() == 0, "the threads saw that they must stop")


@pytest.mark.of_reference
async def test_a_thread_that_overran_its_time_gives_its_slot_back_when_it_ends(backends: Servers) -> None:
    may_end = threading.Event()

    def deaf(app: App, job: Job) -> None:
        may_end.wait(30)

    try:
        with handling(deaf=deaf):
            async with working(backends, worker_pool_size=1, handler_timeout_seconds=0.1) as (app, _):
                slow = await submit(app, "deaf", max_attempts=1)
                await until_status(app, slow, Status.DEADLETTER)
                waiting = await submit(app)
                assert app.handlers.abandoned() == 1
                assert (await row(app, waiting)).status is Status.QUEUED  # the only slot's thread is busy
                may_end.set()
                await until_status(app, waiting, Status.SUCCEEDED)
    finally:
        may_end.set()


# Order, and how many at once


async def test_the_most_urgent_jobs_run_first_and_each_queue_in_its_own_order(backends: Servers) -> None:
    order: list[UUID] = []

    async def note(app: App, job: Job) -> None:
        order.append(job.task_id)

    with handling(note=note):
        async with opened(backends, worker_pool_size=1, reconcile_seconds=60) as app:
            submitted: dict[Priority, list[UUID]] = {priority: [] for priority in Priority}
            for _ in range(3):
                for priority in reversed(Priority):
                    submitted[priority].append(await submit(app, "note", priority=priority))
            async with running_worker(app.settings, under_test.parts()):
                await until(lambda: len(order) == 12, "all twelve ran")
    expected = [Priority.CRITICAL, Priority.HIGH, Priority.DEFAULT, Priority.LOW]
    assert order == [task_id for priority in expected for task_id in submitted[priority]]


@pytest.mark.of_reference
async def test_as_many_run_at_once_as_there_are_slots_and_the_rest_stay_in_redis(backends: Servers) -> None:
    slots, jobs = 3, 12
    may_end = asyncio.Semaphore(0)
    running, ended, most = 0, 0, 0

    async def hold(app: App, job: Job) -> None:
        nonlocal running, ended, most
        running += 1
        most = max(most, running)
        await may_end.acquire()
        running -= 1
        ended += 1

    with handling(hold=hold):
        async with opened(backends, worker_pool_size=slots, reconcile_seconds=60) as app:
            for number in range(jobs):
                await submit(app, "hold", priority=list(Priority)[number % 4])

            async def left() -> int:
                return sum([len(await queued_ids(app, priority)) for priority in Priority])

            async with running_worker(app.settings, under_test.parts()) as worker:
                for released in range(jobs):
                    full = min(slots, jobs - released)
                    await until(lambda full=full: running == full, f"{full} run")
                    assert await left() == jobs - released - full
                    assert counted(worker.app.metrics.jobs_inflight) >= full
                    may_end.release()
                    await until(lambda now=released: ended == now + 1, "one ended")
                await until_all_ended(app)
                await until(lambda: counted(worker.app.metrics.jobs_inflight) == 0, "nothing is in flight")
    assert most == slots


@pytest.mark.of_reference
async def test_a_slot_is_free_while_a_finish_is_written_but_not_without_end(backends: Servers) -> None:
    finish = under_test.parts().finish
    may_finish = asyncio.Event()
    ran: list[UUID] = []

    async def slow_finish(app: App, job: Job, outcome: Outcome) -> bool:
        await may_finish.wait()
        return await finish(app, job, outcome)

    async def note(app: App, job: Job) -> None:
        ran.append(job.task_id)

    with handling(note=note):
        async with opened(backends, worker_pool_size=2, reconcile_seconds=60) as app:
            jobs = [await submit(app, "note") for _ in range(10)]
            async with running_worker(app.settings, replace(under_test.parts(), finish=slow_finish)):
                most = MOST_HELD * 2
                await until(lambda: len(ran) == most, f"{most} jobs have run")
                assert len(await queued_ids(app)) == len(jobs) - most, "the rest is left to other workers"
                may_finish.set()
                await until_all_ended(app)
    assert Counter(ran) == Counter(jobs)


async def test_plain_handlers_run_side_by_side_in_as_many_threads_as_there_are_slots(
    backends: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "_threads", None)  # as in a process that has run none yet
    meeting = threading.Barrier(4)

    def meet(app: App, job: Job) -> None:
        meeting.wait(20)  # passes only if all four are here at once

    with handling(meet=meet):
        # A worker with one slot came first: the threads of a process are not limited by it.
        async with working(backends, worker_pool_size=1) as (app, _):
            with handling(plain=lambda app, job: None):
                await until_status(app, await submit(app, "plain"), Status.SUCCEEDED)
        async with working(backends, worker_pool_size=4) as (app, _):
            ids = [await submit(app, "meet", max_attempts=1) for _ in range(4)]
            for task_id in ids:
                assert (await until_status(app, task_id, *TERMINAL)).status is Status.SUCCEEDED


# Retries, dead letters, requeue


@pytest.mark.of_reference
async def test_a_failed_attempt_waits_its_backoff_and_then_runs_again(backends: Servers) -> None:
    gate = Gate()

    async def fails_once(app: App, job: Job) -> None:
        if job.attempts == 1:
            raise RuntimeError("the first attempt")
        await gate.handle(app, job)

    with handling(fails_once=fails_once):
        async with working(backends) as (app, worker):
            task_id = await submit(app, "fails_once")
            await until(lambda: bool(gate.started), "the second attempt began")
            job = await row(app, task_id)
            assert (job.status, job.attempts, job.last_error) == (
                Status.RUNNING,
                2,
                "RuntimeError: the first attempt",
            )
            gate.opened.set()
            job = await until_status(app, task_id, Status.SUCCEEDED)
            assert job.last_error is None
            assert job.version == 6  # queued, running, retry, queued, running, succeeded
            assert await attempt_rows(app, task_id) == [
                (1, False, "RuntimeError: the first attempt"),
                (2, True, None),
            ]
            assert by_label(worker.metrics.job_retries, "type") == {("fails_once",): 1}


async def test_a_retry_is_not_run_before_it_is_due(backends: Servers) -> None:
    began: list[float] = []

    async def fails_once(app: App, job: Job) -> None:
        began.append(asyncio.get_running_loop().time())
        if job.attempts == 1:
            raise RuntimeError("again, please")

    with handling(fails_once=fails_once):
        async with working(backends, retry_base_seconds=2, retry_cap_seconds=2) as (app, _):
            task_id = await submit(app, "fails_once")

            async def in_retry() -> Job | None:
                job = await row(app, task_id)
                return job if job.status is Status.RETRY or job.attempts == 2 else None

            job = await until(in_retry, "the first attempt failed")
            if job.next_run_at is None:
                return  # the jitter chose next to nothing, and the second attempt has begun
            delay = (job.next_run_at - job.updated_at).total_seconds()
            assert 0 <= delay <= 2
            await until_status(app, task_id, Status.SUCCEEDED)
            assert began[1] - began[0] >= delay - 0.01


@pytest.mark.of_reference
async def test_a_job_without_attempts_left_becomes_a_dead_letter_that_people_can_see(
    backends: Servers,
) -> None:
    async with working(backends) as (app, worker):
        task_id = await submit(app, "always_fail", max_attempts=3, priority=Priority.HIGH)
        job = await until_status(app, task_id, *TERMINAL)
        assert (job.status, job.attempts, job.version) == (Status.DEADLETTER, 3, 9)
        assert job.last_error == "RuntimeError: failing, as asked"
        assert await attempt_rows(app, task_id) == [(n, False, job.last_error) for n in (1, 2, 3)]

        async def dead() -> list[bytes]:
            found: list[bytes] = await app.queue.redis.lrange(dead_letters(Priority.HIGH), 0, -1)
            return found

        assert await until(dead, "the dead letter is in the list") == [encode_entry(job)]
        completed = by_label(worker.metrics.jobs_completed, "type", "status")
        assert completed == {("always_fail", "deadletter"): 1}
        assert by_label(worker.metrics.job_retries, "type") == {("always_fail",): 2}


@pytest.mark.of_reference
async def test_a_requeued_job_runs_again_with_at_least_one_attempt_more(backends: Servers) -> None:
    async with working(backends) as (app, worker):
        task_id = await submit(app, "flaky", max_attempts=1, **payload(failures=1))
        await until_status(app, task_id, Status.DEADLETTER)

        async def letters() -> int:
            number: int = await app.queue.redis.llen(dead_letters(Priority.DEFAULT))
            return number

        await until(letters, "the dead letter is in the list")
        answer = await app.parts.requeue_job(app, pb.RequeueJobRequest(job_id=str(task_id)), NO_CONTEXT)
        assert answer.requeued
        job = await until_status(app, task_id, Status.SUCCEEDED)
        assert (job.attempts, job.max_attempts, job.version) == (2, 2, 6)
        assert [ok for _, ok, _ in await attempt_rows(app, task_id)] == [False, True]
        assert await letters() == 0
        completed = by_label(worker.metrics.jobs_completed, "status")
        assert completed == {("deadletter",): 1, ("succeeded",): 1}


# The queue holds what it holds


@pytest.mark.of_reference
async def test_what_is_no_entry_is_dropped_and_counted_and_its_neighbours_run(backends: Servers) -> None:
    rubbish: list[bytes] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe\x00",
        b'{"task_id":1,"type":"noop","priority":"default"}',
        b'{"task_id":"no uuid","type":"noop","priority":"default"}',
        b'{"task_id":"%s","type":"noop"}' % str(uuid4()).encode(),
        b'{"task_id":"%s","type":"noop","priority":"urgent"}' % str(uuid4()).encode(),
        b"[" * 100_000,
        b"9" * 10_000,
    ]
    async with opened(backends) as app:
        ids = []
        for raw in rubbish:
            ids.append(await submit(app))
            await app.queue.redis.lpush(queue_name(Priority.DEFAULT), raw)
        ids.append(await submit(app))
        async with running_worker(app.settings, under_test.parts()) as worker:
            for task_id in ids:
                job = await until_status(app, task_id, *TERMINAL)
                assert (job.status, job.attempts) == (Status.SUCCEEDED, 1)
            assert counted(worker.app.metrics.malformed_entries) == len(rubbish)
            assert await app.queue.redis.llen(queue_name(Priority.DEFAULT)) == 0


async def test_an_entry_that_comes_often_runs_its_job_once(backends: Servers) -> None:
    runs: Counter[UUID] = Counter()

    async def note(app: App, job: Job) -> None:
        runs[job.task_id] += 1

    with handling(note=note):
        async with opened(backends, worker_pool_size=3) as app:
            ids = [await submit(app, "note") for _ in range(10)]
            for task_id in ids:
                job = await row(app, task_id)
                for _ in range(4):
                    await app.queue.push(job)
            async with (
                running_worker(app.settings, under_test.parts()),
                running_worker(app.settings, under_test.parts()),
            ):
                jobs = await until_all_ended(app)

                async def empty() -> bool:
                    return not await queued_ids(app)

                await until(empty, "every entry was taken")
    assert runs == dict.fromkeys(ids, 1)
    assert {job.attempts for job in jobs.values()} == {1}


@pytest.mark.of_reference
async def test_an_entry_of_a_job_that_nobody_knows_is_dropped_in_silence(backends: Servers) -> None:
    async with working(backends) as (app, worker):
        stranger = b'{"task_id":"%s","type":"noop","priority":"default"}' % str(uuid4()).encode()
        await app.queue.redis.lpush(queue_name(Priority.DEFAULT), stranger)
        await until_status(app, await submit(app), Status.SUCCEEDED)
        assert len(await rows(app)) == 1
        assert counted(worker.metrics.malformed_entries) == 0


# Heartbeats, leases, cancels


@pytest.mark.of_reference
async def test_a_handler_that_blocks_its_thread_keeps_its_lease(backends: Servers) -> None:
    may_end = threading.Event()

    def block(app: App, job: Job) -> None:
        may_end.wait(30)

    try:
        with handling(block=block):
            async with working(backends, lease_seconds=1.5, heartbeat_seconds=0.1) as (app, worker):
                task_id = await submit(app, "block")
                first = (await until_status(app, task_id, Status.RUNNING)).lease_expires_at
                assert first is not None

                async def outlived() -> bool:
                    found = await app.db.fetch_one("SELECT now() > %s AS past", [first])
                    return bool(found and found["past"])

                await until(outlived, "the first lease is over")
                job = await row(app, task_id)
                assert (job.status, job.attempts, job.version) == (Status.RUNNING, 1, 2)
                assert job.lease_expires_at is not None
                assert job.lease_expires_at > first
                may_end.set()
                job = await until_status(app, task_id, *TERMINAL)
                assert (job.status, job.attempts) == (Status.SUCCEEDED, 1)
                assert counted(worker.metrics.leases_expired_total) == 0
    finally:
        may_end.set()


@pytest.mark.needs_task("06_worker", 11)
async def test_leases_are_shown_in_redis_while_jobs_run(backends: Servers) -> None:
    gate = Gate()
    with handling(hold=gate.handle):
        async with working(backends) as (app, _):
            task_id = await submit(app, "hold")

            async def shown() -> float | None:
                score: float | None = await app.queue.redis.zscore(LEASES, str(task_id))
                return score

            await until_status(app, task_id, Status.RUNNING)
            score = await until(shown, "the lease is shown")
            lease = (await row(app, task_id)).lease_expires_at
            assert lease is not None
            assert abs(score / 1000 - lease.timestamp()) < 15
            gate.opened.set()

            async def gone() -> bool:
                return await shown() is None

            await until(gone, "the lease is gone")


@pytest.mark.of_reference
async def test_a_cancelled_job_s_handler_is_told_by_a_heartbeat(backends: Servers) -> None:
    gate = Gate()
    with handling(hold=gate.handle):
        async with working(backends, lease_seconds=3_600, heartbeat_seconds=0.3) as (app, worker):
            victim, neighbour = await submit(app, "hold"), await submit(app, "hold")
            await until(lambda: len(gate.started) == 2, "both run")
            answer = await app.parts.cancel_job(app, pb.CancelJobRequest(job_id=str(victim)), NO_CONTEXT)
            assert answer.cancelled
            await until(lambda: bool(gate.cancelled), "the handler was cancelled")
            assert [job.task_id for job in gate.cancelled] == [victim]
            gate.opened.set()
            await until_status(app, neighbour, Status.SUCCEEDED)
            job = await row(app, victim)
            assert (job.status, job.attempts, job.version) == (Status.CANCELLED, 1, 3)
            assert await attempt_rows(app, victim) == []
            assert counted(worker.metrics.stale_writes) == 0
            assert by_label(worker.metrics.jobs_completed, "status") == {("succeeded",): 1}
            await until(lambda: counted(worker.metrics.jobs_inflight) == 0, "both slots are free")


@pytest.mark.needs_task("06_worker", 14)
async def test_a_cancelled_job_s_plain_handler_can_ask_whether_to_stop(backends: Servers) -> None:
    stopped = threading.Event()

    def polite(app: App, job: Job) -> None:
        while not must_stop():
            time.sleep(0.005)
        stopped.set()

    with handling(polite=polite):
        async with working(backends, lease_seconds=3_600, heartbeat_seconds=0.1) as (app, _):
            task_id = await submit(app, "polite")
            await until_status(app, task_id, Status.RUNNING)
            await app.parts.cancel_job(app, pb.CancelJobRequest(job_id=str(task_id)), NO_CONTEXT)
            await until(stopped.is_set, "the thread saw that it must stop")
            assert (await row(app, task_id)).status is Status.CANCELLED


@pytest.mark.of_reference
async def test_a_job_cancelled_while_it_finishes_stays_cancelled(backends: Servers) -> None:
    async def cancels_itself(app: App, job: Job) -> None:
        assert await app.parts.cancel_in_database(app, job.task_id) is not None

    with handling(cancels_itself=cancels_itself):
        async with working(backends, lease_seconds=3_600, heartbeat_seconds=10) as (app, worker):
            task_id = await submit(app, "cancels_itself")
            await until(lambda: counted(worker.metrics.stale_writes) == 1, "the finish was refused")
            job = await row(app, task_id)
            assert (job.status, job.version) == (Status.CANCELLED, 3)
            assert await attempt_rows(app, task_id) == []
            assert counted(worker.metrics.jobs_completed) == 0


async def test_a_job_cancelled_while_it_waits_never_runs(backends: Servers) -> None:
    gate = Gate()
    with handling(hold=gate.handle):
        async with opened(backends) as app:
            victim, other = await submit(app, "hold"), await submit(app)
            # Only the row: its entry stays in the queue, as when Redis was away at the cancel.
            assert await app.parts.cancel_in_database(app, victim) is not None
            async with running_worker(app.settings, under_test.parts()):
                await until_status(app, other, Status.SUCCEEDED)
            assert gate.started == []
            assert (await row(app, victim)).attempts == 0


# The numbers


@pytest.mark.of_reference
async def test_attempts_rows_and_metrics_say_what_was_done(backends: Servers) -> None:
    async def ends(app: App, job: Job) -> None:
        if job.payload.get("fail"):
            raise PermanentError("no")

    with handling(ends=ends):
        async with opened(backends, worker_pool_size=5, unknown_type_seconds=0.01) as app:
            for number in range(40):
                priority = list(Priority)[number % 4]
                await submit(app, "noop", priority=priority)
                await submit(app, "flaky", priority=priority, **payload(failures=number % 3))
                await submit(app, "always_fail", max_attempts=2)
                await submit(app, "ends", **payload(fail=number % 2))
            await submit(app, "a_stranger", max_attempts=1)
            async with running_worker(app.settings, under_test.parts()) as worker:
                jobs = await until_all_ended(app)
                metrics = worker.app.metrics

                def by_type(count: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
                    return Counter(
                        {
                            ("unknown" if type == "a_stranger" else type, other): number
                            for (type, other), number in count.items()
                        }
                    )

                ended = by_type(Counter((job.type, str(job.status)) for job in jobs.values()))
                await until(lambda: counted(metrics.jobs_completed) == len(jobs), "all endings are counted")
                assert by_label(metrics.jobs_completed, "type", "status") == ended
                assert ended["flaky", "succeeded"] == 40
                assert ended["always_fail", "deadletter"] == 40
                assert ended["ends", "failed"] == 20
                assert ended["unknown", "deadletter"] == 1
                submitted = by_label(app.metrics.jobs_submitted, "priority", "type")
                assert sum(submitted.values()) == len(jobs)
                assert submitted["high", "noop"] == 10
                retries = by_label(metrics.job_retries, "type")
                assert retries == {("flaky",): 13 * 2 + 13, ("always_fail",): 40}
                attempts = sum(job.attempts for job in jobs.values())
                assert counted(metrics.job_wait) == attempts
                assert counted(metrics.job_duration) == len(jobs)
                for never in (metrics.stale_writes, metrics.leases_expired_total, metrics.push_failures):
                    assert counted(never) == 0
            written = await app.db.fetch_all(
                "SELECT task_id, count(*) AS n, max(attempt) AS last, count(*) FILTER (WHERE ok) AS good,"
                " bool_and(started_at <= finished_at) AS in_order FROM task_attempts GROUP BY task_id"
            )
            assert len(written) == len(jobs)
            for one in written:
                job = jobs[one["task_id"]]
                assert one["n"] == one["last"] == job.attempts
                assert one["good"] == (job.status is Status.SUCCEEDED)
                assert one["in_order"]
                assert job.version == 1 + 2 * job.attempts + (job.attempts - 1)
