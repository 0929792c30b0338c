"""The whole scheduler, seen from outside alone: clients over gRPC, workers, and the faults that a system must bear.

These are the book's final integration tests. They ask nothing of how a piece is built, what it counts or how it words
an error, so they judge a scheduler of the learner's own pieces, too:

    pytest tests/end_to_end --implementation chapters

The other modules ask for more, some of it the reference's alone.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from scheduler.config import Settings
from scheduler.jobs import Job, Priority
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker.service import running_worker

from tests import under_test
from tests.end_to_end.client import Stub, claim, connected, rest, row, serving
from tests.faults.tools import handling, short_pops, stoppable  # noqa: F401
from tests.helpers import until
from workbook.sandbox import Servers

ENDED = {
    pb.JOB_STATE_SUCCEEDED,
    pb.JOB_STATE_FAILED,
    pb.JOB_STATE_DEADLETTER,
    pb.JOB_STATE_CANCELLED,
}


@pytest.fixture
def settings(backends: Servers) -> Any:
    """A sandbox in which leases, retries and rounds are short, so that what takes seconds in life takes less here."""
    with backends.sandbox(
        lease_seconds=1.5,
        heartbeat_seconds=0.3,
        poll_seconds=0.1,
        reconcile_seconds=0.2,
        reconcile_age_seconds=0.5,
        retry_base_seconds=0.05,
        retry_cap_seconds=0.1,
        watch_poll_seconds=0.1,
    ) as own:
        yield own


@asynccontextmanager
async def worker(settings: Settings, **changes: Any) -> AsyncIterator[Any]:
    async with running_worker(settings.model_copy(update=changes), under_test.parts()) as running:
        yield running


async def submit(stub: Stub, type: str = "noop", payload: dict[str, Any] | None = None, **fields: Any) -> str:
    """Submit a job as any client would; gives its id."""
    job = pb.Job(type=type, payload_json=json.dumps(payload or {}), **fields)
    answer = await stub.SubmitJob(pb.SubmitJobRequest(job=job))
    return str(answer.job_id)


async def state(stub: Stub, job_id: str) -> pb.JobStatus:
    answer: pb.JobStatus = await stub.GetJob(pb.GetJobRequest(job_id=job_id))
    return answer


async def until_ended(stub: Stub, *job_ids: str) -> list[pb.JobStatus]:
    """Wait until these jobs stand in a terminal state."""

    async def look() -> list[pb.JobStatus] | None:
        found = await asyncio.gather(*[state(stub, job_id) for job_id in job_ids])
        return found if all(one.state in ENDED for one in found) else None

    return await until(look, f"{len(job_ids)} jobs have ended")


def recorder() -> tuple[Callable[[Any, Job], Awaitable[None]], list[str]]:
    """A handler that notes the id of each job that it runs, and the notes."""
    ran: list[str] = []

    async def handler(app: Any, job: Job) -> None:
        ran.append(str(job.task_id))

    return handler, ran


def gate() -> SimpleNamespace:
    """A handler that says when it has begun and goes on when it may."""
    made = SimpleNamespace(begun=asyncio.Event(), may_end=asyncio.Event(), runs=0)

    async def handler(app: Any, job: Job) -> None:
        made.runs += 1
        made.begun.set()
        await made.may_end.wait()

    made.handler = handler
    return made


async def test_a_job_goes_from_submit_to_its_end_and_a_watch_tells_of_it(settings: Settings) -> None:
    async with serving(settings) as (_, stub):
        job_id = await submit(stub)
        stream = stub.WatchJob(pb.WatchJobRequest(job_id=job_id))
        first = await stream.read()
        assert first.state == pb.JOB_STATE_QUEUED
        async with worker(settings):
            events = await rest(stream)
        assert events[-1].state == pb.JOB_STATE_SUCCEEDED
        assert {event.job_id for event in events} == {job_id}
        ended = await state(stub, job_id)
        assert (ended.state, ended.attempts) == (pb.JOB_STATE_SUCCEEDED, 1)


async def test_the_most_urgent_jobs_run_first(settings: Settings) -> None:
    handler, ran = recorder()
    low_to_critical = [pb.PRIORITY_LOW, pb.PRIORITY_DEFAULT, pb.PRIORITY_HIGH, pb.PRIORITY_CRITICAL]
    with handling(note=handler):
        async with serving(settings) as (_, stub):
            job_ids = [await submit(stub, "note", priority=priority) for priority in low_to_critical]
            async with worker(settings, worker_pool_size=1):
                await until_ended(stub, *job_ids)
    assert ran == job_ids[::-1]


async def test_a_job_that_fails_runs_again_until_it_succeeds(settings: Settings) -> None:
    async with serving(settings) as (_, stub), worker(settings):
        [ended] = await until_ended(stub, await submit(stub, "flaky", {"failures": 2}))
        assert (ended.state, ended.attempts) == (pb.JOB_STATE_SUCCEEDED, 3)


async def test_a_job_without_attempts_left_is_a_dead_letter_and_can_be_requeued(settings: Settings) -> None:
    async with serving(settings) as (_, stub), worker(settings):
        job_id = await submit(stub, "flaky", {"failures": 1}, max_attempts=1)
        [ended] = await until_ended(stub, job_id)
        assert (ended.state, ended.attempts) == (pb.JOB_STATE_DEADLETTER, 1)
        assert ended.last_error

        listed = await stub.ListJobs(pb.ListJobsRequest(state_filter=pb.JOB_STATE_DEADLETTER))
        assert [job.job_id for job in listed.jobs] == [job_id]
        assert (await stub.RequeueJob(pb.RequeueJobRequest(job_id=job_id))).requeued
        [ended] = await until_ended(stub, job_id)
        assert (ended.state, ended.attempts) == (pb.JOB_STATE_SUCCEEDED, 2)


async def test_a_cancelled_job_never_runs(settings: Settings) -> None:
    handler, ran = recorder()
    with handling(note=handler):
        async with serving(settings) as (_, stub):
            cancelled, other = [await submit(stub, "note") for _ in range(2)]
            assert (await stub.CancelJob(pb.CancelJobRequest(job_id=cancelled))).cancelled
            assert not (await stub.CancelJob(pb.CancelJobRequest(job_id=cancelled))).cancelled
            async with worker(settings):
                await until_ended(stub, other)
            assert (await state(stub, cancelled)).state == pb.JOB_STATE_CANCELLED
    assert ran == [other]


async def test_a_job_that_is_cancelled_while_it_runs_stays_cancelled(settings: Settings) -> None:
    held = gate()
    with handling(hold=held.handler):
        async with serving(settings) as (_, stub):
            async with worker(settings):
                job_id = await submit(stub, "hold")
                await held.begun.wait()
                assert (await stub.CancelJob(pb.CancelJobRequest(job_id=job_id))).cancelled
                held.may_end.set()
            ended = await state(
                stub, job_id
            )  # the worker has drained: whatever it wanted to write is written
            assert (ended.state, ended.attempts) == (pb.JOB_STATE_CANCELLED, 1)
    assert held.runs == 1


@pytest.mark.needs_task("01_queue", 6)
async def test_one_key_is_one_job_whoever_submits_it_and_however_often(settings: Settings) -> None:
    key = str(uuid4())
    async with serving(settings) as (_, one), serving(settings) as (_, two), worker(settings):
        ids = await asyncio.gather(*[submit(stub, idempotency_key=key) for stub in (one, two) * 20])
        assert len(set(ids)) == 1
        [ended] = await until_ended(one, ids[0])
        assert (ended.state, ended.attempts) == (pb.JOB_STATE_SUCCEEDED, 1)
        assert len((await two.ListJobs(pb.ListJobsRequest())).jobs) == 1


async def test_pages_show_every_job_once(settings: Settings) -> None:
    async with serving(settings) as (_, stub):
        job_ids = [await submit(stub, "noop" if number % 2 else "sleep") for number in range(25)]
        seen: list[str] = []
        token = ""
        while True:
            page = await stub.ListJobs(pb.ListJobsRequest(page_size=10, page_token=token))
            seen += [job.job_id for job in page.jobs]
            if not (token := page.next_page_token):
                break
        assert seen == job_ids[::-1]
        only = await stub.ListJobs(pb.ListJobsRequest(type_filter="noop", state_filter=pb.JOB_STATE_QUEUED))
        assert [job.job_id for job in only.jobs] == job_ids[1::2][::-1]


async def test_two_workers_run_each_job_once(settings: Settings) -> None:
    handler, ran = recorder()
    with handling(note=handler):
        async with serving(settings) as (_, stub), worker(settings), worker(settings):
            job_ids = await asyncio.gather(*[submit(stub, "note") for _ in range(200)])
            ended = await until_ended(stub, *job_ids)
    assert {(one.state, one.attempts) for one in ended} == {(pb.JOB_STATE_SUCCEEDED, 1)}
    assert Counter(ran) == Counter(job_ids)


async def test_a_worker_that_stops_lets_its_jobs_end(settings: Settings) -> None:
    held = gate()
    with handling(hold=held.handler):
        async with serving(settings) as (_, stub), stoppable(settings) as leaving:
            job_id = await submit(stub, "hold")
            await held.begun.wait()
            stopping = asyncio.create_task(leaving.stop())
            held.may_end.set()
            await stopping
            ended = await state(stub, job_id)
    assert (ended.state, ended.attempts, held.runs) == (pb.JOB_STATE_SUCCEEDED, 1, 1)


async def test_what_a_dead_worker_had_claimed_is_run_by_another(settings: Settings) -> None:
    async with serving(settings) as (api, stub):
        job_id = await submit(stub)
        await claim(api.app, (await row(api.app, job_id)).task_id)  # claimed, and nobody is there to run it
        assert (await state(stub, job_id)).state == pb.JOB_STATE_RUNNING
        async with worker(settings):
            [ended] = await until_ended(stub, job_id)
    assert (ended.state, ended.attempts) == (pb.JOB_STATE_SUCCEEDED, 2)


async def test_jobs_whose_entries_redis_lost_run_all_the_same(settings: Settings) -> None:
    async with serving(settings) as (api, stub):
        job_ids = [await submit(stub) for _ in range(20)]
        await api.app.queue.redis.delete(*[under_test.parts().queue_name(one) for one in Priority])
        async with worker(settings):
            ended = await until_ended(stub, *job_ids)
    assert {(one.state, one.attempts) for one in ended} == {(pb.JOB_STATE_SUCCEEDED, 1)}


async def test_watches_of_many_clients_all_see_the_end(settings: Settings) -> None:
    async with serving(settings) as (api, stub), connected(api) as other, worker(settings):
        job_id = await submit(stub, "sleep", {"seconds": 0.2})
        request = pb.WatchJobRequest(job_id=job_id)
        watched = await asyncio.gather(*[rest(one.WatchJob(request)) for one in (stub, other) * 20])
    assert {events[-1].state for events in watched} == {pb.JOB_STATE_SUCCEEDED}


async def test_the_metrics_have_a_page(settings: Settings) -> None:
    async with serving(settings) as (api, stub):
        await submit(stub)
        async with httpx.AsyncClient(trust_env=False) as client:
            page = await client.get(f"http://127.0.0.1:{api.metrics_port}/metrics")
    assert page.status_code == 200
    assert "scheduler_" in page.text
