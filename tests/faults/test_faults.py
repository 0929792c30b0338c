"""Every window in which a scheduler can lose, repeat or tear a job (DESIGN 3.5), made to happen.

The services are real; between them and the worker stands a proxy that cuts, stalls and loses replies, and workers that
have to die do so in processes of their own.
"""

import asyncio
import os
import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from scheduler import redis_clients
from scheduler.app import App, open_app
from scheduler.config import Settings
from scheduler.job_queue import encode_entry, queue_name
from scheduler.jobs import Job, Priority, Status
from scheduler.worker import one_job, reconciler
from scheduler.worker.service import running_worker
from scheduler.worker.worker import Stage, Worker

from tests import under_test
from tests.faults.proxy import postgres_reply, proxy
from tests.faults.tools import (
    Gate,
    at_port,
    attempt_rows,
    by_label,
    counted,
    database_port,
    handling,
    insert,
    opened,
    queued_ids,
    row,
    rows,
    short_pops,  # noqa: F401
    stoppable,
)
from tests.helpers import submit, until, until_status
from tests.patience import SECONDS, within
from workbook.sandbox import Servers

CLAIM = b"started_at = now(), pushed_at = NULL"
FINISH = b"v(id, attempt, status, error, delay)"
SHORT = {"lease_seconds": 0.9, "heartbeat_seconds": 0.2}
LONG = {"lease_seconds": 3_600, "heartbeat_seconds": 0.3}
TERMINAL = [status for status in Status if status.is_terminal]


async def until_all_ended(app: App) -> dict[UUID, Job]:
    async def look() -> dict[UUID, Job] | None:
        jobs = await rows(app)
        return jobs if all(job.status.is_terminal for job in jobs.values()) else None

    return await until(look, "every job ended")


async def age_pushes(app: App) -> None:
    """Let an hour pass for every push: what has no entry now counts as lost."""
    await app.db.fetch_all(
        "UPDATE tasks SET pushed_at = pushed_at - interval '1 hour' WHERE status = 'queued'"
    )


def runs() -> tuple[Counter[UUID], Callable[[App, Job], Awaitable[None]]]:
    """A counter, and a handler that counts its runs in it."""
    counter: Counter[UUID] = Counter()

    async def count(app: App, job: Job) -> None:
        counter[job.task_id] += 1

    return counter, count


# Workers that die, and workers that come back


class LoneWorker:
    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self._folder = folder

    async def until_marked(self, name: str) -> str:
        file = self._folder / name
        await until(lambda: self._process.returncode is not None or file.exists(), f"file {name}")
        assert file.exists(), f"the worker ended with {self._process.returncode}"
        return file.read_text("utf-8")

    def go(self) -> None:
        (self._folder / "go").touch()

    def send(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    async def until_ended(self) -> int:
        return await within(self._process.wait(), "the worker ended")

    async def metric(self, name: str) -> float:
        port = await self.until_marked("metrics_port")
        async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
            page = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))


@asynccontextmanager
async def lone_worker(settings: Settings, folder: Path) -> AsyncIterator[LoneWorker]:
    environment = dict(os.environ)
    for name, value in settings.model_dump(exclude_none=True).items():
        plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        environment[name.upper()] = str(plain)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("lone_worker.py")), str(folder), env=environment
    )
    try:
        worker = LoneWorker(process, folder)
        await worker.until_marked("metrics_port")
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_what_a_killed_worker_was_running_is_finished_by_another(
    backends: Servers, tmp_path: Path
) -> None:
    counter, count = runs()
    with handling(lone_wait=count):
        async with opened(backends, **SHORT) as app:
            ids = [await submit(app, "lone_wait") for _ in range(5)]
            async with lone_worker(app.settings, tmp_path) as lone:
                for task_id in ids:
                    await lone.until_marked(f"started-{task_id}")
                lone.send(signal.SIGKILL)
                await lone.until_ended()
            assert {(await row(app, task_id)).status for task_id in ids} == {Status.RUNNING}
            async with running_worker(app.settings, under_test.parts()) as worker:
                for task_id in ids:
                    job = await until_status(app, task_id, *TERMINAL)
                    assert (job.status, job.attempts, job.version) == (Status.SUCCEEDED, 2, 6)
                    assert await attempt_rows(app, task_id) == [(1, False, "lease expired"), (2, True, None)]
                assert counted(worker.app.metrics.leases_expired_total) == 5
    assert counter == dict.fromkeys(ids, 1)


async def test_a_job_whose_last_worker_was_killed_is_a_dead_letter(backends: Servers) -> None:
    async with opened(backends, **SHORT) as app:
        task_id = await submit(app, max_attempts=1)
        # A worker that is killed after its claim is one that is never heard of again.
        assert len(await app.parts.claim(app, await app.parts.take(app, 1))) == 1
        async with running_worker(app.settings, under_test.parts()) as worker:
            job = await until_status(app, task_id, *TERMINAL)
            assert (job.status, job.attempts) == (Status.DEADLETTER, 1)
            assert await attempt_rows(app, task_id) == [(1, False, "lease expired")]
            await until(lambda: counted(worker.app.metrics.jobs_completed) == 1, "it is counted")
            assert by_label(worker.app.metrics.jobs_completed, "status") == {("deadletter",): 1}


async def test_a_worker_that_slept_past_its_lease_cannot_write_over_its_successor(
    backends: Servers, tmp_path: Path
) -> None:
    counter, count = runs()
    with handling(lone_block=count):
        async with opened(backends, **SHORT) as app:
            task_id = await submit(app, "lone_block")
            async with lone_worker(app.settings, tmp_path) as lone:
                await lone.until_marked(f"started-{task_id}")
                lone.send(signal.SIGSTOP)
                async with running_worker(app.settings, under_test.parts()):
                    before = await until_status(app, task_id, Status.SUCCEEDED)
                lone.go()
                lone.send(signal.SIGCONT)
                await lone.until_marked(f"ended-{task_id}")

                async def refused() -> bool:
                    return await lone.metric("scheduler_stale_writes_total") == 1

                await until(refused, "the late finish was refused, and counted")
                assert await lone.metric("scheduler_jobs_completed_total{") == 0
                assert await row(app, task_id) == before
                assert (before.attempts, before.version) == (2, 6)
                assert await attempt_rows(app, task_id) == [(1, False, "lease expired"), (2, True, None)]
    assert counter == {task_id: 1}


async def test_sigterm_ends_a_worker_that_waits_for_its_handlers(backends: Servers, tmp_path: Path) -> None:
    async with opened(backends, **LONG) as app:
        task_id = await submit(app, "lone_wait")
        async with lone_worker(app.settings, tmp_path) as lone:
            await lone.until_marked(f"started-{task_id}")
            lone.send(signal.SIGTERM)
            lone.go()
            assert await lone.until_ended() == 0
        job = await row(app, task_id)
        assert (job.status, job.attempts) == (Status.SUCCEEDED, 1)


async def test_sigterm_gives_back_what_outlasts_the_grace(backends: Servers, tmp_path: Path) -> None:
    async with opened(backends, shutdown_grace_seconds=0.2, **LONG) as app:
        task_id = await submit(app, "lone_wait", max_attempts=3)
        async with lone_worker(app.settings, tmp_path) as lone:
            await lone.until_marked(f"started-{task_id}")
            lone.send(signal.SIGTERM)
            assert await lone.until_ended() == 0
        job = await row(app, task_id)
        assert (job.status, job.attempts, job.max_attempts) == (Status.QUEUED, 1, 4)
        assert await queued_ids(app) == [task_id]


# Redis loses things


async def test_nothing_is_lost_when_redis_is_emptied_in_mid_run(backends: Servers) -> None:
    may_run = asyncio.Semaphore(0)
    counter: Counter[UUID] = Counter()

    async def count(app: App, job: Job) -> None:
        await may_run.acquire()
        counter[job.task_id] += 1

    with handling(counts=count):
        async with opened(backends, worker_pool_size=4, reconcile_age_seconds=0.3, **LONG) as app:
            ids = [await submit(app, "counts", priority=list(Priority)[number % 4]) for number in range(60)]
            async with running_worker(app.settings, under_test.parts()) as worker:
                for _ in range(10):
                    may_run.release()
                await until(lambda: len(counter) == 10, "ten have run")
                await app.queue.redis.flushdb()
                for _ in range(50):
                    may_run.release()
                await until_all_ended(app)
                repushed = worker.app.metrics.entries_repushed_total
                await until(lambda: counted(repushed) >= 40, "the entries were pushed again, and counted")
    assert counter == dict.fromkeys(ids, 1)


async def test_a_job_submitted_while_redis_is_away_is_accepted_at_once_and_runs_when_it_is_back(
    backends: Servers,
) -> None:
    async with (
        opened(backends, reconcile_age_seconds=0.3, **LONG) as app,
        proxy(app.settings.redis_port) as way,
        open_app(at_port(app.settings, redis=way.port), under_test.parts()) as cut_off,
    ):
        await way.away()
        ids = [await within(submit(cut_off), "a job was accepted without Redis") for _ in range(3)]
        assert counted(cut_off.metrics.push_failures) == 3
        assert {(await row(app, task_id)).status for task_id in ids} == {Status.QUEUED}
        async with running_worker(app.settings, under_test.parts()):
            await until_all_ended(app)
        await way.back()
        await submit(cut_off)
        assert counted(cut_off.metrics.push_failures) == 3


async def test_a_worker_outlives_redis(backends: Servers) -> None:
    counter, count = runs()
    with handling(counts=count):
        async with (
            opened(backends, reconcile_age_seconds=0.3, **LONG) as app,
            proxy(app.settings.redis_port) as way,
            running_worker(at_port(app.settings, redis=way.port), under_test.parts()),
        ):
            ids = [await submit(app, "counts")]
            await until_all_ended(app)
            await way.away()
            ids += [await submit(app, "counts") for _ in range(5)]
            await way.back()
            await until_all_ended(app)
    assert counter == dict.fromkeys(ids, 1)


async def test_entries_whose_worker_died_before_its_claim_are_pushed_again(backends: Servers) -> None:
    counter, count = runs()
    with handling(counts=count):
        async with opened(backends, reconcile_age_seconds=0.3, **LONG) as app:
            ids = [await submit(app, "counts") for _ in range(8)]
            assert len(await app.parts.take(app, 5)) == 5  # and then nothing: the worker is dead
            async with running_worker(app.settings, under_test.parts()) as worker:
                jobs = await until_all_ended(app)
                # It counts what it has pushed, and by then the jobs may have run.
                repushed = worker.app.metrics.entries_repushed_total
                await until(lambda: counted(repushed) >= 5, "the entries were pushed again, and counted")
    assert counter == dict.fromkeys(ids, 1)
    assert {job.attempts for job in jobs.values()} == {1}


async def test_entries_whose_reply_got_lost_are_pushed_again(backends: Servers) -> None:
    counter, count = runs()
    with handling(counts=count):
        async with (
            opened(backends, reconcile_age_seconds=0.3, **LONG) as app,
            proxy(app.settings.redis_port) as way,
        ):
            ids = [await submit(app, "counts") for _ in range(5)]
            way.cut_after(b"BLMPOP")
            async with running_worker(at_port(app.settings, redis=way.port), under_test.parts()):
                await within(way.fired.wait(), "the connection was cut")
                await until_all_ended(app)
    assert counter == dict.fromkeys(ids, 1)


async def test_a_job_inserted_by_a_process_that_died_before_its_push_runs(backends: Servers) -> None:
    async with opened(backends, reconcile_age_seconds=0.3, **LONG) as app:
        await insert(app, 3)
        async with running_worker(app.settings, under_test.parts()):
            jobs = await until_all_ended(app)
    assert {job.status for job in jobs.values()} == {Status.SUCCEEDED}


# The database goes away in mid-statement


@pytest.mark.parametrize("commits", [False, True], ids=["before the commit", "after the commit"])
async def test_a_claim_whose_connection_was_cut_runs_its_jobs_once(backends: Servers, commits: bool) -> None:
    counter, count = runs()
    with handling(counts=count):
        async with (
            opened(backends, reconcile_seconds=60, **LONG) as app,
            proxy(database_port(app.settings)) as way,
        ):
            ids = [await submit(app, "counts") for _ in range(5)]
            async with running_worker(
                at_port(app.settings, database=way.port),
                replace(under_test.parts(), reap=never, reconcile=never),
            ) as worker:
                # The claim that follows finds all five; nothing but the claim itself can bring them back.
                way.cut_after(CLAIM, postgres_reply) if commits else way.cut_before(CLAIM)
                ids += [await submit(app, "counts") for _ in range(5)]
                await within(way.fired.wait(), "the connection was cut")
                jobs = await until_all_ended(app)
                assert counted(worker.app.metrics.leases_expired_total) == 0
    assert counter == dict.fromkeys(ids, 1)
    assert {(job.status, job.attempts, job.version) for job in jobs.values()} == {(Status.SUCCEEDED, 1, 3)}


async def never(app: App) -> int:
    return 0


async def test_a_finish_whose_reply_was_lost_counts_once(backends: Servers) -> None:
    gate = Gate()
    with handling(hold=gate.handle):
        async with (
            opened(backends, **LONG) as app,
            proxy(database_port(app.settings)) as way,
            running_worker(at_port(app.settings, database=way.port), under_test.parts()) as worker,
        ):
            ids = [await submit(app, "hold") for _ in range(4)]
            await until(lambda: len(gate.started) == 4, "all run")
            way.cut_after(FINISH, postgres_reply)
            gate.opened.set()
            await within(way.fired.wait(), "the connection was cut")
            metrics = worker.app.metrics
            await until(lambda: counted(metrics.jobs_inflight) == 0, "the worker is done with them")
            assert by_label(metrics.jobs_completed, "type", "status") == {("hold", "succeeded"): 4}
            assert counted(metrics.stale_writes) == 0
            for task_id in ids:
                job = await row(app, task_id)
                assert (job.status, job.attempts, job.version) == (Status.SUCCEEDED, 1, 3)
                assert await attempt_rows(app, task_id) == [(1, True, None)]


async def test_jobs_end_as_they_should_when_the_database_was_away_under_load(backends: Servers) -> None:
    done: Counter[UUID] = Counter()

    async def tries(app: App, job: Job) -> None:
        await asyncio.sleep(0.01)
        if job.attempts <= job.payload["failures"]:
            raise RuntimeError("again")
        done[job.task_id] += 1

    with handling(tries=tries):
        async with (
            opened(backends, worker_pool_size=8, database_wait_seconds=0.3, **LONG) as app,
            proxy(database_port(app.settings)) as way,
        ):
            wanted = {
                await submit(app, "tries", payload_json=f'{{"failures": {n % 4}}}'): n % 4 for n in range(150)
            }
            own = at_port(app.settings, database=way.port)
            async with running_worker(own, under_test.parts()) as worker:
                for after in (20, 60):
                    await until(lambda after=after: len(done) >= after, f"{after} are done")
                    await way.away()

                    async def missed() -> bool:
                        return not await worker.app.db.is_up()

                    await until(missed, "the worker misses the database")
                    await way.back()
                await age_pushes(app)
                jobs = await until_all_ended(app)
            for task_id, failures in wanted.items():
                job = jobs[task_id]
                status = Status.SUCCEEDED if failures < 3 else Status.DEADLETTER
                attempts = min(failures + 1, 3)
                assert (job.status, job.attempts) == (status, attempts)
                assert job.version == 1 + 2 * attempts + (attempts - 1)
                written = await attempt_rows(app, task_id)
                assert [(number, ok) for number, ok, _ in written] == [
                    (number, number > failures) for number in range(1, attempts + 1)
                ]
                assert done[task_id] == (status is Status.SUCCEEDED)


@pytest.mark.parametrize("how", ["refused", "swallowed"])
async def test_a_handler_is_stopped_when_no_heartbeat_gets_through_before_its_lease_is_over(
    backends: Servers, how: str
) -> None:
    gate = Gate()
    stopped = asyncio.Event()

    async def hold(app: App, job: Job) -> None:
        try:
            await gate.handle(app, job)
        finally:
            stopped.set()

    with handling(hold=hold):
        async with (
            opened(backends, lease_seconds=1.2, heartbeat_seconds=0.3) as app,
            proxy(database_port(app.settings)) as way,
            running_worker(at_port(app.settings, database=way.port), under_test.parts()),
        ):
            task_id = await submit(app, "hold", max_attempts=1)
            await until(lambda: bool(gate.started), "it runs")
            if how == "refused":
                await way.away()
            else:
                way.stall()
            # The database does not come back before that, so nothing but the worker's own clock can have stopped it.
            await within(stopped.wait(), "the handler was stopped")
            assert len(gate.cancelled) == 1
            assert (await row(app, task_id)).status is Status.RUNNING  # nobody has said otherwise yet
            if how == "refused":
                await way.back()
            else:
                way.resume()
            assert (await until_status(app, task_id, *TERMINAL)).status is Status.DEADLETTER
            assert await attempt_rows(app, task_id) == [(1, False, "lease expired")]


async def test_a_claim_that_took_longer_than_its_lease_starts_only_what_is_still_its_own(
    backends: Servers,
) -> None:
    counter, count = runs()
    parts = under_test.parts()

    async def slow_claim(app: App, entries: Any) -> list[Job]:
        jobs = await parts.claim(app, entries)
        if jobs:
            # The database was away between the commit and the reply, for longer than the lease.
            async def reaped() -> bool:
                found = await app.db.fetch_one("SELECT 1 FROM tasks WHERE attempts = 2")
                return found is not None

            await until(reaped, "another worker has the job")
        return jobs

    gate = Gate()
    handled_by: list[str] = []

    async def note(app: App, job: Job) -> None:
        handled_by.append(str(job.attempts))
        await gate.handle(app, job)

    with handling(counts=count, note=note):
        async with opened(backends, **SHORT) as app:
            task_id = await submit(app, "note")
            async with running_worker(app.settings, replace(parts, claim=slow_claim)):
                await until_status(app, task_id, Status.RUNNING)
                async with running_worker(app.settings, parts):
                    await until(lambda: bool(handled_by), "somebody runs it")
                    await submit(app, "counts")
                    await until(lambda: bool(counter), "the first worker goes on")
                    gate.opened.set()
                    assert (await until_status(app, task_id, *TERMINAL)).attempts == 2
    assert handled_by == ["2"]


async def test_a_job_whose_claim_took_longer_than_a_lease_runs_if_it_is_still_the_worker_s(
    backends: Servers,
) -> None:
    parts = under_test.parts()
    counter, count = runs()

    async def late_claim(app: App, entries: Any) -> list[Job]:
        if entries[0].type == "counts":
            await asyncio.sleep(app.settings.lease_seconds + 0.1)  # the database is away, and then it claims
        return await parts.claim(app, entries)

    with handling(counts=count):
        async with opened(backends, **SHORT) as app:
            task_id = await submit(app, "counts")
            async with running_worker(app.settings, replace(parts, claim=late_claim)):
                job = await until_status(app, task_id, *TERMINAL)
    assert (job.status, job.attempts) == (Status.SUCCEEDED, 1)
    assert counter == {task_id: 1}


async def test_a_heartbeat_that_misses_a_job_leaves_its_finish_alone(backends: Servers) -> None:
    """The finish has committed and its reply is on the way: to the heartbeat that comes now, the job is gone."""
    parts = under_test.parts()
    committed, missed = asyncio.Event(), asyncio.Event()

    async def slow_finish(app: App, job: Job, outcome: Any) -> bool:
        written = await parts.finish(app, job, outcome)
        committed.set()
        await missed.wait()
        return written

    async def heartbeat(app: App, jobs: Any) -> set[UUID]:
        was_committed = committed.is_set()
        ours = await parts.heartbeat(app, jobs)
        if was_committed and not ours:
            # What the worker does about it, it does in this turn of the loop; the finish goes on in a later one.
            asyncio.get_running_loop().call_later(0.01, missed.set)
        return ours

    async with opened(backends, lease_seconds=30, heartbeat_seconds=0.1) as app:
        task_id = await submit(app)
        async with running_worker(
            app.settings, replace(parts, finish=slow_finish, heartbeat=heartbeat)
        ) as worker:
            metrics = worker.app.metrics
            await until(lambda: missed.is_set() and counted(metrics.jobs_inflight) == 0, "it is done")
            assert by_label(metrics.jobs_completed, "status") == {("succeeded",): 1}
            assert counted(metrics.stale_writes) == 0
        assert (await row(app, task_id)).status is Status.SUCCEEDED


async def test_a_job_cancelled_in_the_turn_in_which_it_starts_frees_its_slot(backends: Servers) -> None:
    """The worker's task for a job may be cancelled before its first step, and then none of its code runs."""

    class Hasty(Worker):
        def _start(self, running: Any) -> None:
            super()._start(running)
            if running.job.type == "always_fail":
                running.cancel(Stage.LOST)

    async with opened(backends, worker_pool_size=1, **LONG) as app:
        first, second = await submit(app, "always_fail"), await submit(app, "noop")
        async with running_worker(app.settings, replace(under_test.parts(), worker=Hasty)):
            await until_status(app, second, Status.SUCCEEDED)
            assert (await row(app, first)).status is Status.RUNNING


async def test_a_worker_that_claims_a_job_again_stops_its_own_earlier_attempt(backends: Servers) -> None:
    gate = Gate()

    async def heartbeat_gets_no_answer(app: App, jobs: Any) -> set[UUID]:
        return {job.task_id for job in jobs}  # as in a process that slept and has not beaten since

    parts = replace(under_test.parts(), heartbeat=heartbeat_gets_no_answer)
    with handling(hold=gate.handle):
        async with opened(backends, lease_seconds=0.6, heartbeat_seconds=0.2) as app:
            task_id = await submit(app, "hold")
            async with running_worker(app.settings, replace(parts, reap=never)):
                await until(lambda: len(gate.started) == 1, "the first attempt runs")

                async def reaped() -> int:
                    return await app.parts.reap(app)

                await until(reaped, "its lease is over")
                await until(lambda: len(gate.started) == 2, "the second attempt runs")
                await until(lambda: len(gate.cancelled) == 1, "the first one was stopped")
                assert gate.cancelled[0].attempts == 1
                gate.opened.set()
                assert (await until_status(app, task_id, *TERMINAL)).attempts == 2
    assert [job.attempts for job in gate.ended] == [2]


# Stopping


async def test_a_worker_that_stops_finishes_what_runs_and_takes_nothing_more(backends: Servers) -> None:
    gate = Gate()
    with handling(hold=gate.handle):
        async with opened(backends, worker_pool_size=1, shutdown_grace_seconds=3_600, **LONG) as app:
            running, waiting = await submit(app, "hold"), await submit(app, "hold")
            async with stoppable(app.settings) as worker:
                await until(lambda: len(gate.started) == 1, "one runs")
                stopping = asyncio.create_task(worker.stop())
                await asyncio.sleep(0)
                gate.opened.set()
                await within(stopping, "the worker stopped")
            assert (await row(app, running)).status is Status.SUCCEEDED
            job = await row(app, waiting)
            assert (job.status, job.attempts) == (Status.QUEUED, 0)
            assert await queued_ids(app) == [waiting]


async def test_what_outlasts_the_grace_is_given_back_and_loses_no_attempt(backends: Servers) -> None:
    gate = Gate()
    with handling(hold=gate.handle):
        async with opened(backends, shutdown_grace_seconds=0.1, **LONG) as app:
            ids = [await submit(app, "hold", max_attempts=1, priority=Priority.HIGH) for _ in range(3)]
            async with stoppable(app.settings) as worker:
                await until(lambda: len(gate.started) == 3, "all run")
                await worker.stop()  # the gate stays shut
            assert len(gate.cancelled) == 3
            for task_id in ids:
                job = await row(app, task_id)
                assert (job.status, job.attempts, job.max_attempts) == (Status.QUEUED, 1, 2)
                assert (job.version, job.worker) == (3, None)
                assert await attempt_rows(app, task_id) == []
            assert sorted(await queued_ids(app, Priority.HIGH)) == sorted(ids)
            gate.opened.set()
            async with running_worker(app.settings, under_test.parts()):
                for task_id in ids:
                    job = await until_status(app, task_id, *TERMINAL)
                    assert (job.status, job.attempts, job.max_attempts) == (Status.SUCCEEDED, 2, 2)
                    assert await attempt_rows(app, task_id) == [(2, True, None)]


async def test_a_thread_that_cannot_be_stopped_is_left_to_its_lease(backends: Servers) -> None:
    may_end, started = threading.Event(), threading.Event()

    def deaf(app: App, job: Job) -> None:
        started.set()
        may_end.wait(30)

    try:
        with handling(deaf=deaf):
            async with opened(backends, shutdown_grace_seconds=0.1, **LONG) as app:
                task_id = await submit(app, "deaf")
                async with stoppable(app.settings) as worker:
                    await until(started.is_set, "the thread runs")
                    await worker.stop()
                job = await row(app, task_id)
                assert (job.status, job.attempts, job.max_attempts) == (Status.RUNNING, 1, 3)
                assert await queued_ids(app) == []
    finally:
        may_end.set()


async def test_a_handler_that_holds_on_is_left_to_its_lease(backends: Servers) -> None:
    may_end = asyncio.Event()
    started: list[Job] = []

    async def stubborn(app: App, job: Job) -> None:
        started.append(job)
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    try:
        with handling(stubborn=stubborn):
            async with opened(backends, shutdown_grace_seconds=0.1, **LONG) as app:
                task_id = await submit(app, "stubborn")
                async with stoppable(app.settings) as worker:
                    await until(lambda: bool(started), "it runs")
                    await worker.stop()
                job = await row(app, task_id)
                assert (job.status, job.max_attempts) == (Status.RUNNING, 3)
                assert await queued_ids(app) == []
    finally:
        may_end.set()


async def test_a_worker_that_stops_while_it_waits_for_a_slot_stops(backends: Servers) -> None:
    gate = Gate()
    with handling(hold=gate.handle):
        async with opened(backends, worker_pool_size=2, shutdown_grace_seconds=0.1, **LONG) as app:
            for _ in range(5):
                await submit(app, "hold")
            async with stoppable(app.settings) as worker:
                await until(lambda: len(gate.started) == 2, "the pool is full")
                await worker.stop()  # the gate stays shut
            assert len(await queued_ids(app)) == 5
            assert Counter(job.status for job in (await rows(app)).values()) == {Status.QUEUED: 5}


async def test_a_worker_with_nothing_to_do_stops_within_its_wait_for_an_entry(
    backends: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_job, "BLOCK_SECONDS", redis_clients.BLOCK_SECONDS)
    async with opened(backends) as app, stoppable(app.settings) as worker:
        await worker.stop()


async def test_an_entry_that_comes_while_the_worker_stops_runs_or_stays(backends: Servers) -> None:
    async with opened(backends, reconcile_seconds=60, **LONG) as app:
        async with stoppable(app.settings) as worker:
            stopping = asyncio.create_task(worker.stop())
            await asyncio.sleep(0)
            task_id = await submit(app)  # the last pop is still waiting, and takes it
            await within(stopping, "the worker stopped")
        job = await row(app, task_id)
        if job.status is Status.SUCCEEDED:
            assert (job.attempts, await queued_ids(app)) == (1, [])
        else:
            assert (job.status, job.attempts, await queued_ids(app)) == (Status.QUEUED, 0, [task_id])


@pytest.mark.parametrize("what", ["redis", "database", "both"])
async def test_a_worker_stops_in_bounded_time_while_its_services_are_away(
    backends: Servers, what: str
) -> None:
    gate = Gate()
    with handling(hold=gate.handle):
        async with (
            opened(
                backends,
                shutdown_grace_seconds=0.3,
                database_wait_seconds=0.3,
                lease_seconds=3,
                heartbeat_seconds=0.5,
            ) as app,
            proxy(database_port(app.settings)) as to_database,
            proxy(app.settings.redis_port) as to_redis,
        ):
            task_id = await submit(app, "hold")
            own = at_port(app.settings, database=to_database.port, redis=to_redis.port)
            async with stoppable(own) as worker:
                await until(lambda: bool(gate.started), "it runs")
                if what != "redis":
                    await to_database.away()
                if what != "database":
                    await to_redis.away()
                await worker.stop()  # they stay away
            assert len(gate.cancelled) == 1
            job = await row(app, task_id)
            # Given back where the database heard of it; else the lease will run out.
            assert job.status is (Status.QUEUED if what == "redis" else Status.RUNNING)
            assert await queued_ids(app) == []


# The reconciler


async def test_two_reconcilers_at_once_push_each_lost_job_once(backends: Servers) -> None:
    async with opened(backends) as app, open_app(app.settings, under_test.parts()) as other:
        lost = await insert(app, 1_200)
        await age_pushes(app)
        pushed = await asyncio.gather(
            *(one.parts.reconcile(one) for one in (app, other, app, other)),
        )
        assert sum(pushed) == 1_200
        assert sorted(await queued_ids(app)) == sorted(lost)
        assert counted(app.metrics.entries_repushed_total) + counted(
            other.metrics.entries_repushed_total
        ) == len(lost)


async def test_the_reconciler_leaves_what_it_could_not_push_for_a_later_pass(backends: Servers) -> None:
    async with (
        opened(backends) as app,
        proxy(app.settings.redis_port) as way,
        open_app(at_port(app.settings, redis=way.port), under_test.parts()) as cut_off,
    ):
        lost = await insert(app, 5)
        await age_pushes(app)
        way.cut_before(b"LPUSH")
        await cut_off.parts.reconcile(cut_off)
        assert way.fired.is_set()
        assert await queued_ids(app) == []
        assert counted(cut_off.metrics.push_failures) == 5
        await age_pushes(app)
        assert await cut_off.parts.reconcile(cut_off) == 5
        assert sorted(await queued_ids(app)) == sorted(lost)


@pytest.mark.of_reference
@pytest.mark.parametrize("waits", [False, True])
async def test_entries_of_cancelled_jobs_do_not_hide_what_is_lost(backends: Servers, waits: bool) -> None:
    """However many of them lie at the end of the queue, and whether or not an entry follows that counts."""
    async with opened(backends) as app:
        lost = await insert(app, 3)
        await age_pushes(app)
        for task_id in [await submit(app) for _ in range(3 * reconciler.OLDEST)]:
            await app.parts.cancel_in_database(app, task_id)
        waiting = [await submit(app)] if waits else []
        cancelled = len(await queued_ids(app)) - len(waiting)
        assert await app.parts.reconcile(app) == 3
        assert await app.parts.reconcile(app) == 0
        assert sorted((await queued_ids(app))[cancelled:]) == sorted([*lost, *waiting])


@pytest.mark.parametrize("seed", range(6))
async def test_the_reconciler_pushes_what_has_no_entry_and_never_what_has_one(
    backends: Servers, seed: int
) -> None:
    """Random pushes, losses, pops, claims, cancels and pauses. What has an entry is never pushed a second time, and
    when the queue is drained in the end, nothing is left that nobody will find."""
    chance = random.Random(seed)
    async with opened(backends) as app:

        async def submit_some() -> None:
            for _ in range(chance.choice([1, 5, 60])):
                await submit(app)

        async def lose_some() -> None:
            await insert(app, chance.randint(1, 20))

        async def take_some(claims: bool) -> None:
            if await queued_ids(app):
                entries = await app.parts.take(app, chance.randint(1, 40))
                if claims:
                    await app.parts.claim(app, entries)

        async def lose_entries() -> None:
            for task_id in await queued_ids(app):
                if chance.random() < 0.2:
                    job = await row(app, task_id)
                    await app.queue.redis.lrem(queue_name(job.priority), 0, encode_entry(job))

        async def cancel_some() -> None:
            for task_id in await queued_ids(app):
                if chance.random() < 0.1:
                    await app.parts.cancel_in_database(app, task_id)  # and its entry stays

        async def reconcile() -> None:
            before = await queued_ids(app)
            await app.parts.reconcile(app)
            after = await queued_ids(app)
            assert after[: len(before)] == before  # it pushes, and does nothing else
            pushed = after[len(before) :]
            assert set(pushed).isdisjoint(before)
            assert len(set(pushed)) == len(pushed)

        steps: list[Callable[[], Awaitable[None]]] = [
            submit_some,
            submit_some,
            lose_some,
            lambda: take_some(True),
            lambda: take_some(False),
            lose_entries,
            cancel_some,
            lambda: age_pushes(app),
            reconcile,
            reconcile,
        ]
        for _ in range(40):
            await chance.choice(steps)()

        async def drained() -> bool:
            while await queued_ids(app):
                await app.parts.claim(app, await app.parts.take(app, 100))
            await age_pushes(app)
            await reconcile()
            return not any(job.status is Status.QUEUED for job in (await rows(app)).values())

        await until(drained, "every queued job was found")
