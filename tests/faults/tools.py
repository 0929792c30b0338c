"""What the worker's tests have in common: handlers for one test, a look at rows, queues and metrics."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import pytest
from pydantic import SecretStr
from scheduler.app import App, open_app
from scheduler.config import Settings
from scheduler.job_queue import queue_name
from scheduler.jobs import Job, NewJob, Priority, get_job_row, insert_jobs
from scheduler.worker import one_job
from scheduler.worker.handlers import Handler, handlers
from scheduler.worker.service import RunningWorker, running_worker

from tests import under_test
from tests.patience import within
from workbook.sandbox import Servers


@pytest.fixture(autouse=True)
def short_pops(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that stops waits for its last pop, so let pops be short. Import this into a module of tests."""
    monkeypatch.setattr(one_job, "BLOCK_SECONDS", 0.1)


@contextmanager
def handling(**functions: Handler) -> Iterator[None]:
    """Handlers for one test: `handling(hold=…)` runs the jobs of type `hold`."""
    for name, function in functions.items():
        handlers(name)(function)
    try:
        yield
    finally:
        for name in functions:
            del handlers._handlers[name]


@asynccontextmanager
async def opened(backends: Servers, **overrides: Any) -> AsyncIterator[App]:
    """An app in a sandbox of its own, with these settings: for submitting, and for looking."""
    with backends.sandbox(**overrides) as settings:
        async with open_app(settings, under_test.parts()) as app:
            yield app


@asynccontextmanager
async def working(backends: Servers, **overrides: Any) -> AsyncIterator[tuple[App, App]]:
    """A sandbox with a worker in it: an app to submit with, and the worker's own."""
    async with (
        opened(backends, **overrides) as app,
        running_worker(app.settings, under_test.parts()) as worker,
    ):
        yield app, worker.app


class Stoppable:
    """A worker that the test stops, by `stop`, before the block ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._leave = asyncio.Event()
        self._ready: asyncio.Future[RunningWorker] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            async with running_worker(self._settings, under_test.parts()) as worker:
                self._ready.set_result(worker)
                await self._leave.wait()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise

    async def app(self) -> App:
        return (await self._ready).app

    async def stop(self) -> None:
        self._leave.set()
        await within(self._task, "the worker stopped")


@asynccontextmanager
async def stoppable(settings: Settings) -> AsyncIterator[Stoppable]:
    worker = Stoppable(settings)
    try:
        await worker.app()
        yield worker
    finally:
        await worker.stop()


async def insert(app: App, number: int, type: str = "noop", **fields: Any) -> list[UUID]:
    """Insert jobs and push none of them: a crash between INSERT and LPUSH."""
    answers = await insert_jobs(app, [NewJob(type=type, **fields) for _ in range(number)])
    return [job.task_id for job, _ in answers]


async def row(app: App, task_id: UUID) -> Job:
    job = await get_job_row(app, task_id)
    assert job is not None
    return job


async def rows(app: App) -> dict[UUID, Job]:
    return {one["task_id"]: Job.from_row(one) for one in await app.db.fetch_all("SELECT * FROM tasks")}


async def attempt_rows(app: App, task_id: UUID) -> list[tuple[int, bool, str | None]]:
    """(attempt, ok, error) of each attempt that ended, in order."""
    found = await app.db.fetch_all(
        "SELECT attempt, ok, error FROM task_attempts WHERE task_id = %s ORDER BY attempt", [task_id]
    )
    return [(one["attempt"], one["ok"], one["error"]) for one in found]


async def queued_ids(app: App, priority: Priority = Priority.DEFAULT) -> list[UUID]:
    """Whose entries are in the queue, the next one to be taken first."""
    found: Sequence[bytes] = await app.queue.redis.lrange(queue_name(priority), 0, -1)
    return [UUID(re.findall(rb'"task_id":"([^"]+)"', raw)[0].decode()) for raw in reversed(found)]


def counted(metric: Any, **labels: str) -> float:
    """What a counter, a gauge or a histogram (its count) has counted, over all labels that are not given."""
    return sum(
        sample.value
        for family in metric.collect()
        for sample in family.samples
        if not sample.name.endswith(("_created", "_sum", "_bucket"))
        and all(sample.labels.get(name) == value for name, value in labels.items())
    )


def by_label(metric: Any, *names: str) -> Counter[tuple[str, ...]]:
    """A metric's counts by the values of these labels, zeros left out."""
    found: Counter[tuple[str, ...]] = Counter()
    for family in metric.collect():
        for sample in family.samples:
            if not sample.name.endswith(("_created", "_sum", "_bucket")) and sample.value:
                found[tuple(sample.labels[name] for name in names)] += int(sample.value)
    return found


def at_port(settings: Settings, *, database: int | None = None, redis: int | None = None) -> Settings:
    """The same settings, with a service reached through a proxy's port."""
    changes: dict[str, Any] = {}
    if database is not None:
        parts = urlsplit(settings.database_conninfo())
        login = parts.netloc.rpartition("@")[0]
        address = parts._replace(
            netloc=f"{login}@127.0.0.1:{database}", query="sslmode=disable&gssencmode=disable"
        )
        changes["database_url"] = SecretStr(urlunsplit(address))
    if redis is not None:
        changes["redis_host"] = "127.0.0.1"
        changes["redis_port"] = redis
    return settings.model_copy(update=changes)


def database_port(settings: Settings) -> int:
    port = urlsplit(settings.database_conninfo()).port
    assert port is not None
    return port


class Gate:
    """A handler that says when it runs, and goes on when the test opens it."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.started: list[Job] = []
        self.ended: list[Job] = []
        self.cancelled: list[Job] = []

    async def __call__(self, app: App, job: Job) -> None:
        await self.handle(app, job)

    async def handle(self, app: App, job: Job) -> None:
        self.started.append(job)
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled.append(job)
            raise
        self.ended.append(job)
