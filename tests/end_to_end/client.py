"""What a client sees: refusals in short, and the events of a stream."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import ANY
from uuid import UUID

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from scheduler.app import App
from scheduler.config import Settings
from scheduler.entry import Entry
from scheduler.jobs import Job, Priority, get_job_row
from scheduler.parts import Parts
from scheduler.server import RunningApi, running_api
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc
from scheduler.worker.one_job import Outcome

from tests import under_test
from tests.helpers import DIRECT, until
from tests.patience import deadline, within

Stub = Any

on_shared = pytest.mark.asyncio(loop_scope="module")
"""For a test that leaves nothing behind: it uses the fixture `shared`, its module's one server."""


@dataclass(frozen=True)
class Refusal:
    """The status of a call that failed, with the fields that its BadRequest names."""

    code: grpc.StatusCode
    sentence: str
    violations: dict[str, str]

    @property
    def fields(self) -> list[str]:
        return list(self.violations)


async def refused(call: Awaitable[Any]) -> Refusal:
    """Make a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await within(call, "the call failed")
    return refusal(caught.value)


def refusal(error: grpc.aio.AioRpcError) -> Refusal:
    violations: dict[str, str] = {}
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    for detail in status.details if status is not None else ():
        bad_request = error_details_pb2.BadRequest()
        assert detail.Unpack(bad_request)
        for violation in bad_request.field_violations:
            violations[violation.field] = violation.description
    return Refusal(error.code(), error.details() or "", violations)


async def invalid(call: Awaitable[Any]) -> list[str]:
    """Make a call that must be refused as malformed; gives the fields that are named."""
    answer = await refused(call)
    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT, answer
    assert all(answer.violations.values()), "each field has a reason"
    assert all(field in answer.sentence for field in answer.fields)
    return answer.fields


async def next_event(stream: Any) -> Any:
    """The next event of a stream, or `grpc.aio.EOF`."""
    return await within(stream.read(), "the stream said something")


async def rest(stream: Any) -> list[pb.JobEvent]:
    """All that a stream still sends until it ends with OK."""
    events = []
    async with deadline("the stream ended"):
        while (event := await stream.read()) is not grpc.aio.EOF:
            events.append(event)
    return events


async def ended(stream: Any) -> Refusal:
    """Read a stream on to the error that ends it."""
    return await refused(rest(stream))


async def claim(app: App, *task_ids: UUID) -> list[Job]:
    """Claim these jobs as a worker would; they must be queued."""
    jobs = await app.parts.claim(app, [Entry(task_id, "noop", Priority.DEFAULT) for task_id in task_ids])
    assert len(jobs) == len(task_ids)
    app.hints.changed(task_ids)
    return jobs


async def finish(app: App, job: Job, outcome: Outcome) -> None:
    """Finish an attempt as a worker would."""
    assert await app.parts.finish(app, job, outcome)
    app.hints.changed([job.task_id])


async def row(app: App, task_id: UUID | str) -> Job:
    found = await get_job_row(app, UUID(str(task_id)))
    assert found is not None
    return found


async def count(app: App) -> int:
    """How many jobs there are."""
    found = await app.db.fetch_one("SELECT count(*) AS number FROM tasks")
    assert found is not None
    return int(found["number"])


def metric(app: App, name: str, **labels: str) -> float:
    """The value of a counter or a gauge of an app as Prometheus would scrape it; 0 if it was never touched.

    What another scheduler than the reference counts is its own affair, and any number is right.
    """
    if not under_test.is_reference():
        return ANY  # type: ignore[no-any-return]
    names = (f"scheduler_{name}", f"scheduler_{name}_total")
    collectors = [one for one in vars(app.metrics).values() if hasattr(one, "collect")]
    for family in (family for collector in collectors for family in collector.collect()):
        for sample in family.samples:
            if sample.name in names and sample.labels == labels:
                return float(sample.value)
    return 0.0


async def until_answered(app: App, number: int, method: str, code: str) -> None:
    """Wait until so many calls are counted. A client has its answer a moment before the server has counted it."""

    async def look() -> bool:
        return metric(app, "grpc_requests", method=method, code=code) == number

    await until(look, f"{number} answers of {method} with {code} are counted")


@asynccontextmanager
async def serving(settings: Settings, parts: Parts | None = None) -> AsyncIterator[tuple[RunningApi, Stub]]:
    """A server of one's own settings or pieces, and a client of it."""
    async with running_api(settings, parts or under_test.parts()) as api, connected(api) as stub:
        yield api, stub


def channel_to(api: RunningApi, *options: tuple[str, Any]) -> grpc.aio.Channel:
    """A connection of its own to a server."""
    alone = ("grpc.use_local_subchannel_pool", 1)
    return grpc.aio.insecure_channel(f"127.0.0.1:{api.port}", options=[*DIRECT, alone, *options])


@asynccontextmanager
async def connected(api: RunningApi) -> AsyncIterator[Stub]:
    """One more client, with a connection of its own."""
    async with channel_to(api) as channel:
        yield scheduler_pb2_grpc.SchedulerServiceStub(channel)
