"""WatchJob over a real connection: the state at once, each change, and an end; whatever goes away meanwhile."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import grpc
import psycopg
import pytest
from scheduler import hub
from scheduler.app import open_app
from scheduler.jobs import Status
from scheduler.server import running_api
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.v1 import scheduler_pb2_grpc
from scheduler.worker.one_job import Outcome
from scheduler.worker.service import running_worker

from tests import under_test
from tests.end_to_end.client import (
    claim,
    connected,
    ended,
    finish,
    invalid,
    metric,
    next_event,
    on_shared,
    rest,
    row,
    serving,
    until_answered,
)
from tests.helpers import DIRECT, SOME_ID, submit, until, until_status
from tests.patience import deadline, within
from tests.proxies import proxied_database, proxied_redis

QUEUED, RUNNING, RETRY = pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING, pb.JOB_STATE_RETRY
SUCCEEDED, FAILED, CANCELLED = pb.JOB_STATE_SUCCEEDED, pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELLED
DEADLETTER = pb.JOB_STATE_DEADLETTER


def watch(stub, task_id, after_version=0):
    return stub.WatchJob(pb.WatchJobRequest(job_id=str(task_id), after_version=after_version))


async def opened(stub, task_id):
    """A stream that has sent its first event."""
    stream = watch(stub, task_id)
    event = await next_event(stream)
    assert event is not grpc.aio.EOF
    return stream, event


def streams_of(app):
    return sum(map(len, app.hub._watches.values()))


async def until_watched(app, number=1):
    async def look():
        return streams_of(app) == number

    await until(look, f"{number} streams watch, not {streams_of(app)}")


async def until_subscribed(app, task_id, subscribers=1):
    channel = f"job:{task_id}"

    async def look():
        return dict(await app.queue.redis.pubsub_numsub(channel))[channel.encode()] == subscribers

    await until(look, f"{channel} has {subscribers} subscribers")


async def until_nothing_is_left(app):
    await until_watched(app, 0)

    async def look():
        return metric(app, "watch_streams") == 0

    await until(look, "no stream is counted as open")


async def succeed(app, task_id):
    [job] = await claim(app, task_id)
    await finish(app, job, Outcome(Status.SUCCEEDED))


def must_rise(events):
    versions = [event.version for event in events]
    assert versions == sorted(set(versions))


# --- what is sent


async def test_the_present_state_comes_at_once_then_each_change_and_the_end(api, stub):
    task_id = await submit(api.app)
    stream, first = await opened(stub, task_id)
    assert (first.state, first.version, first.attempts) == (QUEUED, 1, 0)

    [job] = await claim(api.app, task_id)
    second = await next_event(stream)
    assert (second.state, second.version, second.attempts) == (RUNNING, 2, 1)

    await finish(api.app, job, Outcome(Status.RETRY, "RuntimeError: no luck", delay=0))
    third = await next_event(stream)
    assert (third.state, third.version) == (RETRY, 3)
    assert "no luck" in third.message

    assert await api.app.parts.pump_retries(api.app) == 1
    fourth = await next_event(stream)
    assert (fourth.state, fourth.version, fourth.attempts) == (QUEUED, 4, 1)

    await succeed(api.app, task_id)
    last = await rest(stream)
    assert (last[-1].state, last[-1].version, last[-1].attempts) == (SUCCEEDED, 6, 2)
    assert await stream.code() is grpc.StatusCode.OK


@on_shared
async def test_an_event_tells_what_the_row_says(shared):
    api, stub = shared
    task_id = await submit(api.app)
    [job] = await claim(api.app, task_id)
    _, event = await opened(stub, str(task_id).upper())
    assert event.job_id == str(task_id)
    assert event.timestamp.ToDatetime(job.updated_at.tzinfo) == job.updated_at
    assert (event.state, event.attempts, event.version) == (RUNNING, 1, 2)
    assert event.message


@on_shared
@pytest.mark.parametrize(
    ("status", "state"),
    [
        (Status.SUCCEEDED, SUCCEEDED),
        (Status.FAILED, FAILED),
        (Status.DEADLETTER, DEADLETTER),
        (Status.CANCELLED, CANCELLED),
    ],
)
async def test_a_job_that_has_ended_sends_its_last_state_and_ends(shared, status, state):
    api, stub = shared
    task_id = await submit(api.app)
    if status is Status.CANCELLED:
        await api.app.parts.cancel_in_database(api.app, task_id)
    else:
        [job] = await claim(api.app, task_id)
        await finish(api.app, job, Outcome(status, None if status is Status.SUCCEEDED else "why"))
    [event] = await rest(watch(stub, task_id))
    assert event.state == state


@pytest.mark.needs_task("03_watchjob", 6)
@on_shared
@pytest.mark.parametrize("beyond", [0, 1, 1_000, 2**63 - 1])
async def test_a_job_that_ended_no_later_than_what_was_seen_ends_with_ok_and_nothing(shared, beyond):
    api, stub = shared
    task_id = await submit(api.app)
    await succeed(api.app, task_id)
    version = (await row(api.app, task_id)).version
    stream = watch(stub, task_id, min(version + beyond, 2**63 - 1))
    assert await rest(stream) == []
    assert await stream.code() is grpc.StatusCode.OK


@pytest.mark.of_reference
async def test_a_state_that_was_seen_is_not_sent_again(api, stub):
    task_id = await submit(api.app)
    stream = watch(stub, task_id, after_version=1)
    await until_watched(api.app)
    await claim(api.app, task_id)
    assert (await next_event(stream)).version == 2


@on_shared
@pytest.mark.parametrize("after", [-(2**63), -1, 0, 1])
async def test_a_state_newer_than_what_was_seen_is_sent_at_once(shared, after):
    api, stub = shared
    task_id = await submit(api.app)
    await claim(api.app, task_id)
    assert (await next_event(watch(stub, task_id, after))).version == 2


async def test_a_stream_that_was_lost_is_resumed_without_gap_or_repeat(api, stub):
    task_id = await submit(api.app)
    stream, first = await opened(stub, task_id)
    stream.cancel()
    await until_nothing_is_left(api.app)
    [job] = await claim(api.app, task_id)
    await finish(api.app, job, Outcome(Status.SUCCEEDED))
    [missed] = await rest(watch(stub, task_id, after_version=first.version))
    assert (missed.state, missed.version) == (SUCCEEDED, 3)


@pytest.mark.of_reference
async def test_a_version_from_the_future_sends_only_what_comes_after_it(api, stub):
    task_id = await submit(api.app)
    stream = watch(stub, task_id, after_version=2)
    await until_watched(api.app)
    [job] = await claim(api.app, task_id)  # version 2: known to the client already
    await finish(api.app, job, Outcome(Status.FAILED, "why"))
    assert [event.version for event in await rest(stream)] == [3]


@pytest.mark.of_reference
@pytest.mark.parametrize("beyond", [0, 1, 2**62])
async def test_a_stream_ends_with_its_job_though_the_client_was_told_of_the_end_before(api, stub, beyond):
    task_id = await submit(api.app)
    stream = watch(stub, task_id, after_version=3 + beyond)
    await until_watched(api.app)
    [job] = await claim(api.app, task_id)
    await finish(api.app, job, Outcome(Status.SUCCEEDED))  # version 3
    assert await rest(stream) == []
    assert await stream.code() is grpc.StatusCode.OK


@pytest.mark.of_reference
async def test_two_streams_of_one_job_each_get_what_they_have_not_seen(api, stub):
    task_id = await submit(api.app)
    all_of_it, _ = await opened(stub, task_id)
    resumed = watch(stub, task_id, after_version=2)
    await until_watched(api.app, 2)
    [job] = await claim(api.app, task_id)
    assert (await next_event(all_of_it)).version == 2
    await finish(api.app, job, Outcome(Status.SUCCEEDED))
    assert [event.version for event in await rest(all_of_it)] == [3]
    assert [event.version for event in await rest(resumed)] == [3]


async def test_a_requeued_job_is_watched_on_from_where_it_ended(api, stub):
    task_id = await submit(api.app)
    [job] = await claim(api.app, task_id)
    await finish(api.app, job, Outcome(Status.DEADLETTER, "why"))
    [last] = await rest(watch(stub, task_id))
    await stub.RequeueJob(pb.RequeueJobRequest(job_id=str(task_id)))
    again = watch(stub, task_id, after_version=last.version)
    assert (await next_event(again)).state == QUEUED
    await succeed(api.app, task_id)
    assert (await rest(again))[-1].state == SUCCEEDED


async def test_many_changes_in_a_row_come_in_order_and_end_with_the_last(api, stub):
    task_id = await submit(api.app)
    stream, first = await opened(stub, task_id)
    for _ in range(20):
        [job] = await claim(api.app, task_id)
        await finish(api.app, job, Outcome(Status.RETRY, "again"))
        await api.app.parts.pump_retries(api.app)
    await succeed(api.app, task_id)
    events = [first, *await rest(stream)]
    must_rise(events)
    assert (events[-1].state, events[-1].version) == (SUCCEEDED, 63)


async def test_a_worker_is_watched_from_queue_to_end(settings, api, stub):
    task_id = await submit(api.app, "flaky", payload_json='{"failures": 2}')
    stream, first = await opened(stub, task_id)
    async with running_worker(settings, under_test.parts()):
        events = [first, *await rest(stream)]
    must_rise(events)
    assert (events[-1].state, events[-1].attempts) == (SUCCEEDED, 3)


# --- what is refused


async def test_an_unknown_job_is_not_found(api, stub):
    for after in (0, 5):
        answer = await ended(watch(stub, uuid4(), after))
        assert answer.code is grpc.StatusCode.NOT_FOUND
    await until_nothing_is_left(api.app)


@on_shared
@pytest.mark.parametrize("job_id", ["", "42", f"{SOME_ID} ", SOME_ID.replace("-", "")])
async def test_a_malformed_id_is_refused_by_its_field(shared, job_id):
    _, stub = shared
    assert await invalid(rest(watch(stub, job_id))) == ["job_id"]


async def test_a_job_that_is_deleted_while_it_is_watched_is_not_found(api, stub):
    task_id = await submit(api.app)
    stream, _ = await opened(stub, task_id)
    await api.app.db.fetch_all("DELETE FROM tasks WHERE task_id = %s", [task_id])
    assert (await ended(stream)).code is grpc.StatusCode.NOT_FOUND


# --- many


@pytest.mark.of_reference
async def test_fifty_clients_of_one_job_all_see_its_end(api):
    task_id = await submit(api.app)
    async with AsyncExitStack() as stack:
        stubs = [await stack.enter_async_context(connected(api)) for _ in range(50)]
        streams = [stream for stream, _ in await asyncio.gather(*[opened(stub, task_id) for stub in stubs])]
        assert metric(api.app, "watch_streams") == 50
        await until_subscribed(api.app, task_id)
        await succeed(api.app, task_id)
        for events in await asyncio.gather(*map(rest, streams)):
            must_rise(events)
            assert events[-1].state == SUCCEEDED
    await until_nothing_is_left(api.app)


@pytest.mark.of_reference
async def test_six_hundred_jobs_are_watched_side_by_side(api, stub):
    """More than the hub asks for in one statement."""
    task_ids = [await submit(api.app) for _ in range(600)]
    streams = [stream for stream, _ in await asyncio.gather(*[opened(stub, one) for one in task_ids])]
    jobs = await claim(api.app, *task_ids)
    await asyncio.gather(*[finish(api.app, job, Outcome(Status.SUCCEEDED)) for job in jobs])
    for task_id, events in zip(task_ids, await asyncio.gather(*map(rest, streams)), strict=True):
        must_rise(events)
        assert events[-1].state == SUCCEEDED
        assert {event.job_id for event in events} == {str(task_id)}
    await until_nothing_is_left(api.app)


# --- a client that leaves, and one that is slow


@pytest.mark.of_reference
async def test_a_client_that_cancels_frees_everything(api, stub):
    task_id = await submit(api.app)
    staying, _ = await opened(stub, task_id)
    leaving, _ = await opened(stub, task_id)
    leaving.cancel()
    await until_watched(api.app, 1)
    await until_subscribed(api.app, task_id)
    staying.cancel()
    await until_nothing_is_left(api.app)
    await until_subscribed(api.app, task_id, 0)
    assert task_id not in api.app.hub._watches
    await until_answered(api.app, 2, "WatchJob", "CANCELLED")


@pytest.mark.of_reference
async def test_a_client_whose_connection_ends_frees_everything(api):
    task_ids = [await submit(api.app) for _ in range(5)]
    async with connected(api) as stub:
        for task_id in task_ids:
            await opened(stub, task_id)
        assert metric(api.app, "watch_streams") == 5
    await until_nothing_is_left(api.app)


async def test_a_client_that_leaves_before_its_first_event_frees_everything(api, stub):
    task_id = await submit(api.app)
    for _ in range(20):
        watch(stub, task_id).cancel()
    stream, _ = await opened(stub, task_id)
    stream.cancel()
    await until_nothing_is_left(api.app)


@pytest.mark.of_reference
async def test_a_client_that_leaves_at_any_moment_frees_everything(api, stub):
    """Python 3.11 can lose a cancellation that comes in the same turn of the loop as what was waited for."""
    task_ids = [await submit(api.app) for _ in range(3)]
    await opened(stub, task_ids[0])
    for number in range(300):
        stream = watch(stub, task_ids[number % 3], after_version=1)  # there is nothing to send
        reading = asyncio.create_task(stream.read())
        for _ in range(number % 30):
            await asyncio.sleep(0)
        stream.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    await until_watched(api.app, 1)


async def test_a_stream_that_runs_out_of_its_deadline_frees_everything(api, stub):
    task_id = await submit(api.app)
    stream = stub.WatchJob(pb.WatchJobRequest(job_id=str(task_id)), timeout=0.3)
    answer = await ended(stream)
    assert answer.code is grpc.StatusCode.DEADLINE_EXCEEDED
    await until_nothing_is_left(api.app)


@pytest.mark.of_reference
async def test_a_stream_that_ended_frees_everything(api, stub):
    task_id = await submit(api.app)
    stream, _ = await opened(stub, task_id)
    await succeed(api.app, task_id)
    await rest(stream)
    await until_nothing_is_left(api.app)
    await until_subscribed(api.app, task_id, 0)
    await until_answered(api.app, 1, "WatchJob", "OK")


async def test_a_client_that_reads_late_still_gets_the_last_state(api):
    task_id = await submit(api.app)
    narrow = [*DIRECT, ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{api.port}", options=narrow) as channel:
        stream, first = await opened(scheduler_pb2_grpc.SchedulerServiceStub(channel), task_id)
        for _ in range(40):  # more than fits into what a connection buffers
            [job] = await claim(api.app, task_id)
            await finish(api.app, job, Outcome(Status.RETRY, "ä" * 2_000))
            await api.app.parts.pump_retries(api.app)
        await succeed(api.app, task_id)
        events = [first, *await rest(stream)]
    must_rise(events)
    assert (events[-1].state, events[-1].version) == (SUCCEEDED, 123)


async def test_a_watch_that_is_read_late_has_only_the_latest_state(app):
    task_id = await submit(app)
    async with app.hub.watch(task_id) as watch:
        watch.version = 1
        await succeed(app, task_id)

        async def look():
            return watch.known == 3

        await until(look, "the last state has reached the watch")
        assert (await watch.newer()).version == 3


# --- services that are away


@pytest.mark.needs_task("03_watchjob", 7)
async def test_a_hint_wakes_a_watch_long_before_its_poll(settings):
    async with serving(settings.model_copy(update={"watch_poll_seconds": 3_600})) as (api, stub):
        task_id = await submit(api.app)
        stream, _ = await opened(stub, task_id)
        await until_subscribed(api.app, task_id)
        [job] = await claim(api.app, task_id)
        assert (await next_event(stream)).state == RUNNING
        await finish(api.app, job, Outcome(Status.SUCCEEDED))
        assert (await rest(stream))[-1].state == SUCCEEDED


@pytest.mark.needs_task("03_watchjob", 7)
async def test_a_hint_wakes_a_watch_however_long_nothing_was_hinted(settings):
    """The subscription must outlive the time after which an ordinary command of Redis has failed."""
    async with serving(settings.model_copy(update={"watch_poll_seconds": 3_600})) as (api, stub):
        task_id = await submit(api.app)
        stream, _ = await opened(stub, task_id)
        await until_subscribed(api.app, task_id)
        redis = api.app.queue.redis

        async def idle_subscriber():
            clients = await redis.client_list(_type="pubsub")
            return [one for one in clients if int(one["db"]) == settings.redis_db and int(one["idle"]) >= 2]

        await until(idle_subscriber, "a subscription was idle for two seconds")
        await claim(api.app, task_id)
        assert (await next_event(stream)).state == RUNNING


@pytest.mark.of_reference
async def test_no_hint_waits_for_the_poll(api, stub, monkeypatch):
    task_id = await submit(api.app)
    stream, _ = await opened(stub, task_id)
    await until_subscribed(api.app, task_id)
    polls, may_go_on = asyncio.Event(), asyncio.Event()
    fetch_all = api.app.db.fetch_all

    async def slow_for_the_poll(sql, params=None):
        if asyncio.current_task().get_name() == "looking at all that is watched":
            polls.set()
            await may_go_on.wait()
        return await fetch_all(sql, params)

    monkeypatch.setattr(api.app.db, "fetch_all", slow_for_the_poll)
    await asyncio.wait_for(polls.wait(), 20)
    await claim(api.app, task_id)
    assert (await next_event(stream)).state == RUNNING
    may_go_on.set()


@pytest.mark.of_reference
async def test_one_row_that_can_not_be_read_blinds_no_other_watch(api, stub, monkeypatch, caplog):
    bad, good = await submit(api.app), await submit(api.app)
    bad_stream, _ = await opened(stub, bad)
    good_stream, _ = await opened(stub, good)
    deliver, tried = api.app.hub._deliver, []

    def refusing(row):
        tried.append(row["watched_id"])
        if row["watched_id"] == bad:
            raise KeyError("a word of a newer version")
        deliver(row)

    monkeypatch.setattr(api.app.hub, "_deliver", refusing)
    await api.app.db.fetch_all("UPDATE tasks SET version = version + 1 WHERE task_id = %s", [bad])

    async def passed_over():
        return tried.count(bad) > 1

    await until(passed_over, "the bad row was met, and met again")
    await succeed(api.app, good)
    assert (await rest(good_stream))[-1].state == SUCCEEDED
    assert caplog.text.count("can't be shown to its watches") == 1
    bad_stream.cancel()


@pytest.mark.of_reference
async def test_the_poll_reaches_every_watch_however_many_slices_there_are(api, stub, monkeypatch):
    monkeypatch.setattr(hub, "SLICE", 2)
    task_ids = [await submit(api.app) for _ in range(7)]
    streams = [(await opened(stub, task_id))[0] for task_id in task_ids]
    await api.app.db.fetch_all(
        "UPDATE tasks SET status = 'cancelled', finished_at = now(), pushed_at = NULL, version = version + 1"
    )
    for stream in streams:
        assert [event.state for event in await rest(stream)] == [CANCELLED]


async def test_a_change_that_nobody_hinted_at_is_seen_by_the_poll(api, stub):
    task_id = await submit(api.app)
    stream, _ = await opened(stub, task_id)
    await api.app.db.fetch_all(
        "UPDATE tasks SET status = 'cancelled', finished_at = now(), pushed_at = NULL, version = version + 1"
    )
    assert [event.state for event in await rest(stream)] == [CANCELLED]


async def test_a_watch_works_while_redis_is_away(settings):
    async with proxied_redis(settings) as (through, redis), serving(through) as (api, stub):
        early, late = await submit(api.app), await submit(api.app)
        before, _ = await opened(stub, early)
        await redis.refuse()
        after, _ = await opened(stub, late)
        await succeed(api.app, early)
        await succeed(api.app, late)
        assert (await rest(before))[-1].state == SUCCEEDED
        assert (await rest(after))[-1].state == SUCCEEDED
        await until_nothing_is_left(api.app)


async def test_a_watch_works_while_redis_hangs(settings):
    async with proxied_redis(settings) as (through, redis), serving(through) as (api, stub):
        early, late = await submit(api.app), await submit(api.app)
        before, _ = await opened(stub, early)
        redis.stall()
        after, _ = await opened(stub, late)
        await succeed(api.app, early)
        await succeed(api.app, late)
        assert (await rest(before))[-1].state == SUCCEEDED
        assert (await rest(after))[-1].state == SUCCEEDED
        await until_nothing_is_left(api.app)
        await redis.restore()


@pytest.mark.of_reference
async def test_every_watch_is_subscribed_again_when_redis_is_back(settings):
    async with (
        open_app(settings, under_test.parts()) as beside,
        proxied_redis(settings) as (through, redis),
        serving(through) as (api, stub),
    ):
        early, late = await submit(api.app), await submit(api.app)
        await opened(stub, early)
        await until_subscribed(beside, early)
        await redis.refuse()
        await until_subscribed(beside, early, 0)
        stream, _ = await opened(stub, late)
        await redis.restore()
        await until_subscribed(beside, early)
        await until_subscribed(beside, late)
        await succeed(beside, late)
        assert (await rest(stream))[-1].state == SUCCEEDED


@pytest.mark.of_reference
async def test_a_database_that_is_away_for_a_moment_does_not_end_the_stream(settings):
    quick = settings.model_copy(update={"database_wait_seconds": 0.2})
    async with (
        open_app(settings, under_test.parts()) as beside,
        proxied_database(quick) as (through, database),
        serving(through) as (api, stub),
    ):
        task_id = await submit(beside)
        stream, _ = await opened(stub, task_id)
        await database.refuse()

        async def noticed():
            return not api.app.hub._database_answers

        await until(noticed, "the hub noticed that the database is away")
        await claim(beside, task_id)
        await database.restore()
        assert (await next_event(stream)).state == RUNNING
        await beside.parts.cancel_in_database(beside, task_id)
        assert (await rest(stream))[-1].state == CANCELLED


async def test_a_watch_that_begins_while_the_database_is_away_is_unavailable(settings):
    quick = settings.model_copy(update={"database_wait_seconds": 0.2})
    async with proxied_database(quick) as (through, database), serving(through) as (api, stub):
        await database.refuse()
        answer = await ended(watch(stub, uuid4()))
        assert answer.code is grpc.StatusCode.UNAVAILABLE
        await until_nothing_is_left(api.app)
        await database.restore()


@pytest.mark.of_reference
@pytest.mark.parametrize("error", [psycopg.ProgrammingError("unforeseen"), KeyError("unforeseen")], ids=type)
async def test_an_unforeseen_error_in_the_hub_stops_no_watch(api, stub, monkeypatch, error):
    task_id = await submit(api.app)
    stream, _ = await opened(stub, task_id)
    failed = asyncio.Event()
    fetch_all = api.app.db.fetch_all

    async def failing(sql, params=None):
        if "watched_id" in sql and not failed.is_set():
            failed.set()
            raise error
        return await fetch_all(sql, params)

    monkeypatch.setattr(api.app.db, "fetch_all", failing)
    await within(failed.wait(), "the look failed")
    await claim(api.app, task_id)
    assert (await next_event(stream)).state == RUNNING


@pytest.mark.of_reference
@pytest.mark.parametrize("name", ["job:", "job:garbage", "job:\xff"])
async def test_a_hint_that_is_none_is_passed_over(api, stub, name):
    task_id = await submit(api.app)
    stream, _ = await opened(stub, task_id)
    await until_subscribed(api.app, task_id)
    await api.app.hub._pubsub.subscribe(name)
    await until(lambda: api.app.queue.redis.publish(name, b"\xff\0"), "the hub listens to this channel")
    await succeed(api.app, task_id)
    assert (await rest(stream))[-1].state == SUCCEEDED


# --- the end of the server


@pytest.mark.of_reference
async def test_a_server_that_drains_ends_its_streams_as_unavailable(settings):
    async with AsyncExitStack() as client:
        async with serving_only(settings) as api:
            stub = await client.enter_async_context(connected(api))
            task_ids = [await submit(api.app) for _ in range(3)]
            streams = [(await opened(stub, task_id))[0] for task_id in task_ids]
            reading = [asyncio.create_task(ended(stream)) for stream in streams]
        for answer in await asyncio.gather(*reading):
            assert answer.code is grpc.StatusCode.UNAVAILABLE
        await until_answered(api.app, 3, "WatchJob", "UNAVAILABLE")
        assert streams_of(api.app) == 0
        assert metric(api.app, "watch_streams") == 0


@pytest.mark.of_reference
async def test_a_watch_that_begins_while_the_server_drains_is_unavailable(api, stub):
    task_id = await submit(api.app)
    api.app.hub.drain()
    assert (await ended(watch(stub, task_id))).code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.of_reference
async def test_draining_does_not_wait_for_a_job_that_goes_on(settings):
    patient = settings.model_copy(update={"shutdown_grace_seconds": 3_600})
    async with (
        AsyncExitStack() as client,
        deadline("the server ended without the job"),
        serving_only(patient) as api,
    ):
        stub = await client.enter_async_context(connected(api))
        await opened(stub, await submit(api.app))


async def test_the_stream_tells_that_a_stopping_worker_gave_the_job_back(settings, api, stub):
    task_id = await submit(api.app, "sleep", payload_json='{"seconds": 3600}')
    stream, _ = await opened(stub, task_id)
    hasty = settings.model_copy(update={"shutdown_grace_seconds": 0.05})
    async with running_worker(hasty, under_test.parts()):
        await until_status(api.app, task_id, Status.RUNNING)

    async def given_back():
        event = await next_event(stream)
        return event.state == QUEUED and event.attempts == 1

    await until(given_back, "the stream told that the job is queued again")


def serving_only(settings):
    """A server whose client is another's affair: one that outlives it."""
    return running_api(settings, under_test.parts())
