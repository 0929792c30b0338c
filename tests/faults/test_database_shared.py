"""The database is everybody's: what a handler, a list, a lock or a payload costs, it costs nobody else."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from scheduler import connections, database
from scheduler.app import App, open_app
from scheduler.config import Settings
from scheduler.jobs import Job, Status
from scheduler.parts import reference
from scheduler.server import RunningApi, running_api
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc
from scheduler.worker import one_job
from scheduler.worker.service import running_worker

from tests.faults.tools import (
    attempt_rows,
    counted,
    handling,
    insert,
    opened,
    row,
    short_pops,  # noqa: F401
    working,
)
from tests.helpers import DIRECT, submit, until, until_status
from tests.patience import SECONDS
from tests.proxies import proxied_database
from workbook.sandbox import Servers

pytestmark = [pytest.mark.timeout(120), pytest.mark.of_reference]

MIB = 1024 * 1024
Stub = Any


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[RunningApi, Stub]]:
    async with (
        running_api(settings, reference()) as api,
        grpc.aio.insecure_channel(f"127.0.0.1:{api.port}", DIRECT) as channel,
    ):
        yield api, scheduler_pb2_grpc.SchedulerServiceStub(channel)


@asynccontextmanager
async def locked(app: App, statement: str = "SELECT 1 FROM tasks FOR UPDATE") -> AsyncIterator[None]:
    """Somebody's transaction, left open, that holds a lock."""
    async with app.db._pool.connection() as connection, connection.transaction():
        await connection.execute(statement.encode())
        yield


async def waiting_for_locks(app: App) -> int:
    found = await app.db.fetch_one(
        "SELECT count(*) AS n FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int(found["n"]) if found else 0


async def code_of(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def healthy(api: RunningApi) -> bool:
    return await api.app.db.is_up()


# --- handlers


async def test_handlers_that_hold_every_connection_cost_nobody_a_lease(backends: Servers) -> None:
    """Forty of them, each in a transaction that does not end, while heartbeats, finishes and claims go on."""
    leave = asyncio.Event()
    holding: list[Job] = []

    async def hold(app: App, job: Job) -> None:
        async def work(connection: Any) -> None:
            holding.append(job)
            await leave.wait()

        await app.db.transaction(work)

    lease = {"lease_seconds": 3, "heartbeat_seconds": 0.3, "database_wait_seconds": 60}
    with handling(hold=hold):
        async with working(backends, **lease) as (app, worker):
            first = [await submit(app, "hold", max_attempts=1) for _ in range(40)]
            held = worker.settings.database_guests

            async def all_are_held() -> bool:
                return len(holding) == held

            await until(all_are_held, "every connection of the guests is held")
            beats = await lease_of(app, first)
            for _ in range(3):  # each later than any that has been

                async def later(before: Any = beats) -> Any:
                    now = await lease_of(app, first)
                    return now if now > before else None

                beats = await until(later, "the heartbeat goes on")
                await until_status(app, await submit(app), Status.SUCCEEDED)
            assert counted(worker.metrics.leases_expired_total) == 0
            leave.set()
            for task_id in first:
                await until_status(app, task_id, Status.SUCCEEDED)
                assert await attempt_rows(app, task_id) == [(1, True, None)]


async def lease_of(app: App, task_ids: list[Any]) -> Any:
    found = await app.db.fetch_one(
        "SELECT min(lease_expires_at) AS soonest FROM tasks WHERE task_id = ANY(%s) AND status = 'running'",
        [task_ids],
    )
    return found["soonest"] if found else None


# --- readers, and what is locked


async def test_lists_that_hold_every_connection_they_may_hold_up_no_submit(backends: Servers) -> None:
    with backends.sandbox(database_wait_seconds=0.5) as settings:
        async with serving(settings) as (api, stub):
            (task_id,) = await insert(api.app, 1)
            held = settings.database_guests
            async with locked(api.app):
                cancel = pb.CancelJobRequest(job_id=str(task_id))
                calls = [asyncio.ensure_future(code_of(stub.CancelJob(cancel))) for _ in range(held)]

                async def all_wait() -> bool:
                    return await waiting_for_locks(api.app) == held

                await until(all_wait, "every connection of the guests waits for the lock")
                assert (
                    await code_of(stub.ListJobs(pb.ListJobsRequest())) is grpc.StatusCode.RESOURCE_EXHAUSTED
                )
                job = pb.Job(type="noop")
                for _ in range(5):
                    assert await code_of(stub.SubmitJob(pb.SubmitJobRequest(job=job))) is grpc.StatusCode.OK
                assert await healthy(api)
            await asyncio.gather(*calls)


async def test_a_cancel_of_a_row_that_stays_locked_took_too_long(
    backends: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.LIMITS, "lock_timeout", "200ms")
    with backends.sandbox() as settings:
        async with serving(settings) as (api, stub):
            (task_id,) = await insert(api.app, 1)
            async with locked(api.app):
                code = await code_of(stub.CancelJob(pb.CancelJobRequest(job_id=str(task_id))))
            assert code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert (await row(api.app, task_id)).status is Status.QUEUED


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit of ours ends a statement, so that whatever ends one here is its caller."""
    for name in connections.LIMITS:
        monkeypatch.setitem(connections.LIMITS, name, "0")
    monkeypatch.setattr(database, "ANSWER_SECONDS", 3600)


async def test_a_caller_who_leaves_takes_its_statement_along(backends: Servers, endless: None) -> None:
    """A client that is gone: nobody waits for the row any more."""
    with backends.sandbox() as settings:
        async with serving(settings) as (api, stub):
            (task_id,) = await insert(api.app, 1)
            async with locked(api.app):
                call = stub.CancelJob(pb.CancelJobRequest(job_id=str(task_id)), timeout=SECONDS)

                async def waits() -> bool:
                    return await waiting_for_locks(api.app) == 1

                await until(waits, "the cancel waits for the row")
                call.cancel()
                await until_none_waits(api.app)
            assert (await row(api.app, task_id)).status is Status.QUEUED


async def test_a_deadline_that_passes_takes_its_statement_along(backends: Servers, endless: None) -> None:
    with backends.sandbox() as settings:
        async with serving(settings) as (api, stub):
            (task_id,) = await insert(api.app, 1)
            request = pb.CancelJobRequest(job_id=str(task_id))
            async with locked(api.app):
                seconds, has_waited = 0.5, False
                while not has_waited:  # one that passes before the statement is there says nothing
                    seconds *= 2
                    call = asyncio.ensure_future(code_of(stub.CancelJob(request, timeout=seconds)))
                    while not (call.done() or has_waited):
                        has_waited = await waiting_for_locks(api.app) == 1
                    assert await call is grpc.StatusCode.DEADLINE_EXCEEDED
                    await until_none_waits(api.app)
            assert (await row(api.app, task_id)).status is Status.QUEUED


async def until_none_waits(app: App) -> None:
    async def none_waits() -> bool:
        return await waiting_for_locks(app) == 0

    await until(none_waits, "the statement has ended")


# --- a database that can't write


async def test_an_api_whose_database_can_not_write_is_not_ready_and_unavailable(backends: Servers) -> None:
    with backends.sandbox(database_wait_seconds=0.5) as settings:
        async with open_app(settings, reference()) as other, serving(settings) as (api, stub):
            job = pb.SubmitJobRequest(job=pb.Job(type="noop"))
            assert await code_of(stub.SubmitJob(job)) is grpc.StatusCode.OK
            name = (await other.db.fetch_one("SELECT current_database() AS name") or {})["name"]
            await other.db.fetch_all(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
            try:
                await end_sessions(other, name)

                async def not_ready() -> bool:
                    return not await healthy(api)

                await until(not_ready, "it is not ready")
                assert await code_of(stub.SubmitJob(job)) is grpc.StatusCode.UNAVAILABLE
            finally:
                await other.db.fetch_all(f'ALTER DATABASE "{name}" SET default_transaction_read_only = off')

            async def accepts() -> bool:
                return await code_of(stub.SubmitJob(job)) is grpc.StatusCode.OK

            async def ready() -> bool:
                return await healthy(api)

            await until(accepts, "it accepts jobs again")
            await until(ready, "and is ready")


async def end_sessions(app: App, name: str) -> None:
    """As a failover does."""
    sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    await app.db.fetch_all(sql, [name])


# --- a column that is added while processes run


async def test_a_column_that_is_added_disturbs_no_process_that_runs(backends: Servers) -> None:
    with backends.sandbox() as settings:
        async with serving(settings) as (api, stub), running_worker(settings, reference()):
            request = pb.SubmitJobRequest(job=pb.Job(type="noop"))

            async def run(number: int) -> None:
                for _ in range(number):
                    answer = await stub.SubmitJob(request)
                    job_id = answer.job_id
                    await stub.GetJob(pb.GetJobRequest(job_id=job_id))
                    await stub.ListJobs(pb.ListJobsRequest())
                    await stub.CancelJob(pb.CancelJobRequest(job_id=job_id))

            await run(12)  # psycopg prepares a statement at its fifth run
            await api.app.db.fetch_all("ALTER TABLE tasks ADD COLUMN note text")
            await run(12)
            await api.app.db.fetch_all("ALTER TABLE tasks ALTER COLUMN last_error TYPE varchar")
            await run(12)
            task_id = await submit(api.app)
            await until_status(api.app, task_id, Status.SUCCEEDED)


# --- payloads


async def test_a_claim_reads_large_payloads_a_few_at_a_time(
    backends: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has room for a hundred jobs of a megabyte has not room for a hundred of them twice, at one moment."""
    async with opened(backends) as app:
        payloads = {}
        for number in range(12):
            text = json.dumps(str(number) + "x" * (one_job.SMALL_PAYLOAD if number % 4 else 10))
            payloads[(await insert(app, 1, payload_json=text))[0]] = text
        entries = [await row(app, task_id) for task_id in payloads]
        read: list[int] = []
        fetch_all = app.db.fetch_all

        async def noting(*args: Any) -> Any:
            found = await fetch_all(*args)
            read.append(sum(len(one.get("payload") or "") > one_job.SMALL_PAYLOAD for one in found))
            return found

        monkeypatch.setattr(app.db, "fetch_all", noting)
        claimed = await app.parts.claim(app, entries)  # type: ignore[arg-type]
        assert {job.task_id: job.payload_json for job in claimed} == payloads
        assert sum(read) == 9
        assert max(read) == one_job.LARGE_AT_ONCE


async def test_a_payload_that_was_accepted_before_its_numbers_counted_hurts_no_worker(
    backends: Servers,
) -> None:
    """It is 270 bytes in a statement, and 4 MB for whoever reads it: nobody does, and the job says why it fails."""

    async def needs(app: App, job: Job) -> None:
        assert job.payload

    async with opened(backends) as app, proxied_database(app.settings) as (through, proxy):
        bomb = "[" + ",".join(["1e131071"] * 30) + "]"
        with handling(needs=needs):
            (task_id, good) = await insert(app, 2, "needs", max_attempts=1)
            await app.db.fetch_all("UPDATE tasks SET payload = %s WHERE task_id = %s", [bomb, task_id])
            await app.db.fetch_all("UPDATE tasks SET payload = '[1]' WHERE task_id = %s", [good])
            async with running_worker(through, reference()):
                for job in [await row(app, good), await row(app, task_id)]:
                    await app.queue.push(job)
                await until_status(app, good, Status.SUCCEEDED)
                ended = await until_status(app, task_id, Status.DEADLETTER)
        assert "too large" in (ended.last_error or "")
        assert proxy.answered < MIB


async def test_a_payload_travels_to_whom_runs_the_job_alone(backends: Servers) -> None:
    """Lists, looks, heartbeats and all the rest: what comes from the database does not grow with the payloads."""
    async with opened(backends) as app, proxied_database(app.settings) as (through, proxy):
        large = '"' + "x" * (MIB - 2) + '"'
        jobs = await insert(app, 6, payload_json=large)
        async with serving(through) as (_, stub), open_app(through, reference()) as other:
            before = proxy.answered
            for task_id in jobs[:2]:
                await stub.GetJob(pb.GetJobRequest(job_id=str(task_id)))
                await anext(aiter(stub.WatchJob(pb.WatchJobRequest(job_id=str(task_id)))))
                await stub.CancelJob(pb.CancelJobRequest(job_id=str(task_id)))
                await stub.RequeueJob(pb.RequeueJobRequest(job_id=str(task_id)))
            await stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop", payload_json=large)))
            await stub.ListJobs(pb.ListJobsRequest(page_size=1000))
            assert proxy.answered - before < MIB // 4

            entries = [(await row(app, task_id)) for task_id in jobs[2:]]
            claimed = await other.parts.claim(other, entries)  # type: ignore[arg-type]
            assert {len(job.payload_json or "") for job in claimed} == {MIB}
            before = proxy.answered
            assert await other.parts.heartbeat(other, claimed) == set(jobs[2:])
            await other.parts.give_back(other, claimed[:2])
            await app.db.fetch_all(
                "UPDATE tasks SET lease_expires_at = now() - interval '1 hour' WHERE status = 'running'"
            )
            await other.parts.reap(other)
            await other.parts.pump_retries(other)
            assert proxy.answered - before < MIB // 4
