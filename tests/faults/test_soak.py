"""Everything at once, for a few seconds: jobs of every kind, and services and workers that come and go.

What must hold in the end holds whatever happened: every job has ended, no two attempts of a job ran at the same time,
and rows, attempts and versions tell one story.
"""

import asyncio
import json
import os
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import grpc
import psycopg
import pytest
from scheduler.app import App
from scheduler.config import Settings
from scheduler.jobs import Job, Status
from scheduler.server import running_api
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc

from tests import under_test
from tests.faults.tools import Stoppable, handling, opened, rows
from tests.helpers import DIRECT, SEED, until
from workbook.sandbox import Servers

JOBS = 300
MOST_DEEDS = 24
DEEDS = ("empty_redis", "cut_the_database", "cancel", "restart_a_worker")


@dataclass
class Log:
    """What the handlers saw."""

    running: dict[UUID, int] = field(default_factory=dict)
    overlaps: list[tuple[UUID, int, int]] = field(default_factory=list)
    runs: Counter[tuple[UUID, int]] = field(default_factory=Counter)
    completed: Counter[UUID] = field(default_factory=Counter)

    async def work(self, app: App, job: Job) -> None:
        """Take a moment, fail as often as the payload says, and note whom it met."""
        if job.task_id in self.running:
            self.overlaps.append((job.task_id, self.running[job.task_id], job.attempts))
        self.running[job.task_id] = job.attempts
        self.runs[job.task_id, job.attempts] += 1
        try:
            await asyncio.sleep(job.payload["seconds"])
            if job.attempts <= job.payload["failures"]:
                raise RuntimeError("as asked")
            self.completed[job.task_id] += 1
        finally:
            if self.running.get(job.task_id) == job.attempts:
                del self.running[job.task_id]


class Chaos:
    """Does something bad every now and then."""

    def __init__(
        self, app: App, stub: "scheduler_pb2_grpc.SchedulerServiceAsyncStub", ids: list[UUID], seed: int
    ) -> None:
        self.app = app
        self.done: Counter[str] = Counter()
        self.cancelled: set[UUID] = set()
        self.workers = [Stoppable(app.settings) for _ in range(2)]
        self._stub = stub
        self._ids = ids
        self._chance = random.Random(seed)

    async def run(self) -> None:
        # Each of them once, and then any of them.
        deeds = [*DEEDS, *self._chance.choices(DEEDS, k=MOST_DEEDS - len(DEEDS))]
        for worker in self.workers:
            await worker.app()
        for name in deeds:
            await getattr(self, name)()
            self.done[name] += 1
            await asyncio.sleep(self._chance.uniform(0, 0.2))

    async def stop(self) -> None:
        for worker in self.workers:
            await worker.stop()

    async def empty_redis(self) -> None:
        await self.app.queue.redis.flushdb()

    async def cut_the_database(self) -> None:
        cut_all_connections(self.app.settings)

    async def cancel(self) -> None:
        task_id = self._chance.choice(self._ids)
        with suppress(grpc.aio.AioRpcError):
            answer = await self._stub.CancelJob(pb.CancelJobRequest(job_id=str(task_id)))
            if answer.cancelled:
                self.cancelled.add(task_id)

    async def restart_a_worker(self) -> None:
        number = self._chance.randrange(2)
        await self.workers[number].stop()
        self.workers[number] = Stoppable(self.app.settings)
        # A worker that starts while its database is away says so and ends; so let it start before the next deed.
        await self.workers[number].app()


def cut_all_connections(settings: Settings) -> None:
    """As a database that restarts does, to everybody who is connected to this sandbox's database."""
    with psycopg.connect(settings.database_conninfo(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def payloads(chance: random.Random) -> list[pb.Job]:
    jobs = []
    for number in range(JOBS):
        kind = number % 4
        if kind == 0:
            type, fields = "noop", {}
        elif kind == 1:
            type, fields = "always_fail", {"permanent": number % 3 == 0}
        else:
            type = "work"
            fields = {"seconds": chance.uniform(0, 0.2), "failures": chance.choice([0, 0, 1, 2, 5])}
        priority = chance.choice(pb.Priority.values())
        jobs.append(pb.Job(type=type, payload_json=json.dumps(fields), priority=priority, max_attempts=4))
    return jobs


# Its name has no number in it: who wants it again, alone or as what failed last, must find it.
@pytest.mark.parametrize("seed", [int(os.environ.get("SOAK_SEED") or SEED)], ids=["any seed"])
async def test_every_job_ends_and_none_runs_twice_at_once_whatever_happens(
    backends: Servers, seed: int
) -> None:
    print(f"SOAK_SEED={seed}")
    log = Log()
    with handling(work=log.work):
        async with (
            opened(
                backends,
                worker_pool_size=6,
                lease_seconds=3,
                heartbeat_seconds=0.5,
                reconcile_age_seconds=1,
                shutdown_grace_seconds=0.05,
            ) as app,
            running_api(app.settings, under_test.parts()) as api,
            grpc.aio.insecure_channel(f"127.0.0.1:{api.port}", DIRECT) as channel,
        ):
            stub = scheduler_pb2_grpc.SchedulerServiceStub(channel)
            answer = await stub.SubmitJobs(pb.SubmitJobsRequest(jobs=payloads(random.Random(seed))))
            ids = [UUID(job_id) for job_id in answer.job_ids]
            chaos = Chaos(app, stub, ids, seed)
            try:
                await chaos.run()
                jobs = await until_all_ended(app)
            finally:
                await chaos.stop()
            assert set(jobs) == set(ids)
            assert min(chaos.done[deed] for deed in DEEDS) >= 1
            assert log.overlaps == []
            assert log.running == {}
            assert set(log.runs.values()) == {1}  # no attempt number was given out twice
            await check_that_rows_tell_one_story(app, jobs)
            for task_id in chaos.cancelled:
                assert jobs[task_id].status is Status.CANCELLED
            for task_id, job in jobs.items():
                check_the_ending(job, log.completed[task_id])


async def until_all_ended(app: App) -> dict[UUID, Job]:
    async def look() -> dict[UUID, Job] | None:
        try:
            jobs = await rows(app)
        except psycopg.OperationalError:  # this was the connection that was cut
            return None
        return jobs if all(job.status.is_terminal for job in jobs.values()) else None

    return await until(look, "every job ended")


async def check_that_rows_tell_one_story(app: App, jobs: dict[UUID, Job]) -> None:
    """Each change of status adds one to the version, so the version can be reckoned from what happened."""
    ended: dict[UUID, list[bool]] = {task_id: [] for task_id in jobs}
    for one in await app.db.fetch_all("SELECT task_id, attempt, ok FROM task_attempts ORDER BY attempt"):
        ended[one["task_id"]].append(one["ok"])
        assert one["attempt"] <= jobs[one["task_id"]].attempts
    for task_id, job in jobs.items():
        claims, endings, given_back = job.attempts, len(ended[task_id]), job.max_attempts - 4
        assert ended[task_id].count(True) == (job.status is Status.SUCCEEDED)
        if job.status is not Status.CANCELLED:
            # queued; each claim, and what ended it; and after each failure but the last, queued again
            assert claims == endings + given_back
            assert job.version == 1 + 2 * claims + (endings - 1)
            assert ended[task_id][-1] is (job.status is Status.SUCCEEDED)
        elif claims == endings + given_back + 1:  # cancelled while it ran: the cancel ended the last claim
            assert job.version == 1 + 2 * claims + endings
        else:  # cancelled while it was queued, or while it waited for a retry, which then was not queued again
            assert claims == endings + given_back
            assert job.version - 1 - 2 * claims in ({endings + 1, endings} if endings else {1})
        assert (job.worker, job.lease_expires_at, job.pushed_at) == (None, None, None)


def check_the_ending(job: Job, completed: int) -> None:
    """What a job's kind says about its end. A lost worker costs an attempt, so a dead letter is always possible."""
    if job.status is Status.CANCELLED:
        return
    if job.type == "noop":
        assert job.status in (Status.SUCCEEDED, Status.DEADLETTER)
    elif job.type == "always_fail":
        assert job.status in (Status.FAILED, Status.DEADLETTER)
    else:
        assert job.status in (Status.SUCCEEDED, Status.DEADLETTER)
        assert completed >= (job.status is Status.SUCCEEDED)
    if job.status is Status.DEADLETTER:
        assert job.attempts >= job.max_attempts
