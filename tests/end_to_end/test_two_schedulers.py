"""Two schedulers on one Redis: apart with a prefix, and heard of without one."""

import logging
import time
from dataclasses import replace
from uuid import uuid4

import pytest
from scheduler.app import open_app
from scheduler.config import ConfigError
from scheduler.database import Unavailable
from scheduler.entry import Entry
from scheduler.hints import LEASES
from scheduler.jobs import Priority, Status
from scheduler.parts import reference
from scheduler.server import running_api
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker import strangers
from scheduler.worker.service import running_worker

from tests.end_to_end.client import claim, connected, next_event
from tests.end_to_end.commands import environment_of
from tests.end_to_end.commands import scheduler as command
from tests.faults.tools import counted
from tests.helpers import submit, until, until_status
from workbook.system import observed

pytestmark = [pytest.mark.timeout(120), pytest.mark.of_reference]


async def names(app):
    return {name.decode() for name in await app.queue.redis.keys("*")}


async def test_with_a_prefix_of_its_own_each_scheduler_runs_its_own_jobs(backends):
    with backends.sandbox(redis_prefix="one:") as one, backends.sandbox() as other:
        other = other.model_copy(update={"redis_db": one.redis_db})
        async with (
            open_app(one, reference()) as app,
            running_worker(other, reference()) as stranger,
            running_worker(one, reference()),
        ):
            theirs = [await submit(stranger.app) for _ in range(20)]
            ours = [await submit(app) for _ in range(20)]
            for task_id in ours:
                await until_status(app, task_id, Status.SUCCEEDED)
            for task_id in theirs:
                await until_status(stranger.app, task_id, Status.SUCCEEDED)
            assert counted(stranger.app.metrics.unknown_entries_total) == 0
            assert counted(stranger.app.metrics.entries_repushed_total) == 0


async def test_all_that_redis_holds_begins_with_the_prefix(backends):
    with backends.sandbox(redis_prefix="one:", watch_poll_seconds=3_600) as settings:
        async with running_api(settings, reference()) as api, connected(api) as stub:
            task_id = await submit(api.app, priority=Priority.HIGH)
            stream = stub.WatchJob(pb.WatchJobRequest(job_id=str(task_id)))
            await next_event(stream)
            [job] = await claim(api.app, task_id)
            assert (await next_event(stream)).version == 2, "the hint was heard"
            api.app.hints.leased([job])
            api.app.hints.dead([job])

            async def shown():
                return await names(api.app) == {"one:q:high", "one:leases", "one:dlq:high"}

            await until(shown, "each key is there, under its name")
            subscribed = await api.app.queue.redis.pubsub_channels(f"*{task_id}")
            assert subscribed == [f"one:job:{task_id}".encode()]
            assert (await stub.CancelJob(pb.CancelJobRequest(job_id=str(task_id)))).cancelled
            assert await names(api.app) == {"one:dlq:high"}
            await api.app.db.fetch_all("UPDATE tasks SET status = 'deadletter'")
            assert (await stub.RequeueJob(pb.RequeueJobRequest(job_id=str(task_id)))).requeued
            assert await names(api.app) == {"one:q:high"}


async def test_commands_and_views_know_the_prefix(backends):
    notebook = pytest.importorskip("workbook.notebook.system", reason="the notebooks are an extra")
    with backends.sandbox(redis_prefix="one:") as settings:
        async with open_app(settings, reference()) as app:
            task_id = await submit(app, priority=Priority.HIGH)
            environment = environment_of(settings, REDIS_PREFIX="one:")
            assert (await command(environment, "redis", "LLEN", "one:q:high")).out == "(integer) 1\n"
            with observed(settings) as observer:
                assert [(queue.name, queue.length) for queue in observer.look().queues][1] == (
                    "one:q:high",
                    1,
                )
            system = notebook.System(settings, "", is_joined=True)
            assert system.entries("high") == [str(task_id)]
            system.close()


async def test_a_prefix_is_refused_where_a_piece_has_the_names_of_the_lessons(settings):
    parts = replace(reference(), queue_name=lambda priority: f"q:{priority}")
    with pytest.raises(ConfigError, match="REDIS_PREFIX"):
        async with open_app(settings.model_copy(update={"redis_prefix": "one:"}), parts):
            pass


async def test_entries_of_unknown_jobs_are_counted_and_logged_once(settings, monkeypatch, caplog):
    monkeypatch.setattr(strangers, "_told", False)
    async with open_app(settings, reference()) as app:
        known = await submit(app)
        cancelled = await submit(app)
        await app.parts.cancel_in_database(app, cancelled)
        strange = [Entry(uuid4(), "noop", Priority.DEFAULT) for _ in range(3)]
        with caplog.at_level(logging.WARNING):
            for some in (strange[:2], strange[2:]):
                ids = [*(entry.task_id for entry in some), known, cancelled]
                await app.parts.claim(app, [Entry(task_id, "noop", Priority.DEFAULT) for task_id in ids])
        assert counted(app.metrics.unknown_entries_total) == 3
        assert sum("another scheduler uses this Redis" in one.message for one in caplog.records) == 1


async def test_what_was_claimed_starts_though_the_database_can_not_be_asked_about_the_rest(
    settings, monkeypatch
):
    async with open_app(settings, reference()) as app:
        ids = [await submit(app), uuid4()]
        fetch_all = app.db.fetch_all

        async def fails(sql, *arguments):
            if sql == strangers.KNOWN:
                raise Unavailable("not now")
            return await fetch_all(sql, *arguments)

        monkeypatch.setattr(app.db, "fetch_all", fails)
        claimed = await app.parts.claim(app, [Entry(task_id, "noop", Priority.DEFAULT) for task_id in ids])
        assert [job.task_id for job in claimed] == ids[:1]


async def test_a_lease_that_redis_was_not_told_the_end_of_leaves_the_view(settings):
    async with running_worker(settings, reference()) as worker:
        redis = worker.app.queue.redis
        now = time.time() * 1000
        await redis.zadd(LEASES, {"killed long ago": now - 3_600_000, "runs": now + 15_000})

        async def gone():
            return await redis.zrange(LEASES, 0, -1) == [b"runs"]

        await until(gone, "only what runs is shown")
