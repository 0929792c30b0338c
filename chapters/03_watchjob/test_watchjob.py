"""Chapter 03: what WatchJob must do. Run it with `pytest chapters/03_watchjob`."""

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import psycopg
import pytest
from grpc import StatusCode
from redis.exceptions import RedisError
from scheduler.hints import channel
from scheduler.jobs import Job, Priority, Status
from scheduler.v1 import scheduler_pb2 as pb

from workbook.diagnose import diagnose
from workbook.judges.watchjob import cancellation_is_never_lost
from workbook.loop import Hang
from workbook.patience import stretched
from workbook.stream import RpcFailed, brief

OFTEN = pytest.mark.settings(watch_poll_seconds=0.02)
ONCE_A_MINUTE = pytest.mark.settings(watch_poll_seconds=60)

SOON = 5
"""Seconds that a test waits for what should come at once."""

ENDED = [Status.SUCCEEDED, Status.FAILED, Status.DEADLETTER, Status.CANCELLED]
FAILED_ATTEMPT = [Status.RETRY, Status.FAILED, Status.DEADLETTER]


@pytest.fixture(autouse=True)
def _cancellation_is_never_lost():
    with cancellation_is_never_lost():
        yield


# -- task 1

TASK_ID = UUID("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee")
CREATED = datetime(2024, 5, 17, 9, 0, tzinfo=UTC)
UPDATED = datetime(2024, 5, 17, 10, 30, 15, 123456, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("field", "wanted"),
    [("job_id", str(TASK_ID)), ("attempts", 2), ("version", 7)],
    ids=lambda one: str(one)[:8],
)
def test_task_1_tells_the_id_the_attempts_and_the_version(code, field, wanted):
    got = getattr(_event_of(code, _job(Status.RUNNING)), field)
    assert got == wanted, diagnose(
        f"the event's {field}",
        got,
        wanted,
        [(not got, f"nothing was put there; the row has it (job.{field})")],
    )


@pytest.mark.parametrize("status", list(Status))
def test_task_1_names_the_state(code, status):
    got = _event_of(code, _job(status)).state
    wanted = pb.JobState.Value(f"JOB_STATE_{status.name}")
    assert got == wanted, diagnose(
        f"the event's state for a row that is {status}",
        _state(got),
        _state(wanted),
        [
            (
                got == list(Status).index(status),
                "its place in the enum Status, but the API counts from UNSPECIFIED = 0; look the number up by name",
            ),
            (got == 0, "that means that nobody knows; was the state left out?"),
        ],
    )


def test_task_1_takes_the_time_from_the_row(code):
    event = _event_of(code, _job(Status.RUNNING))
    got = event.timestamp.ToDatetime(UTC)
    assert got == UPDATED, diagnose(
        "the event's timestamp",
        str(got),
        str(UPDATED.astimezone(UTC)),
        [
            (
                not event.HasField("timestamp"),
                "left out, which a client reads as 1970; the row has updated_at",
            ),
            (
                abs(datetime.now(UTC) - got) < timedelta(days=1),
                "that is when to_event ran; the row's updated_at says when the job changed",
            ),
            (got == CREATED, "that is when the job was created; updated_at says when it changed last"),
            (
                got == UPDATED.replace(tzinfo=UTC),
                "the figures of updated_at without its time zone, so two hours off",
            ),
            (got == UPDATED.replace(microsecond=0), "the fraction of the second is lost"),
        ],
    )


@pytest.mark.parametrize("status", list(Status))
def test_task_1_says_in_words_what_has_happened(code, status):
    message = _event_of(code, _job(status)).message
    assert message.strip(), (
        f"the message for a job that is {status} is empty: say in a few words what has happened"
    )
    assert "None" not in message, (
        f"the message for a job that is {status} is {message!r}: nobody wants to read None; its last_error is None, "
        "because nothing failed"
    )


@pytest.mark.parametrize("status", FAILED_ATTEMPT)
def test_task_1_says_why_an_attempt_failed(code, status):
    job = _job(status)
    message = _event_of(code, job).message
    assert job.last_error in message, (
        f"the message for a job that is {status} is {message!r}, and does not say why: put job.last_error into it, "
        "for an event has no other place for it"
    )


def _job(status: Status) -> Job:
    return Job(
        task_id=TASK_ID,
        type="noop",
        priority=Priority.DEFAULT,
        payload_json="{}",
        status=status,
        attempts=2,
        max_attempts=3,
        last_error="TimeoutError: no answer" if status in FAILED_ATTEMPT else None,
        worker=None,
        version=7,
        idempotency_key=None,
        created_at=CREATED,
        updated_at=UPDATED,
        queued_at=CREATED,
        pushed_at=None,
        started_at=CREATED,
        finished_at=None,
        next_run_at=None,
        lease_expires_at=None,
    )


def _event_of(code, job):
    try:
        event = code.to_event(job)
    except TypeError as error:
        pytest.fail(
            f"to_event(job) raised a TypeError: {error}. A message takes no other type than its field has: a str for "
            "job_id, where the row has a UUID"
        )
    except ValueError as error:
        pytest.fail(
            f"to_event(job) raised a ValueError: {error}. The API's names of the states are not the words of the "
            "column: queued is JOB_STATE_QUEUED"
        )
    assert isinstance(event, pb.JobEvent), diagnose(
        "to_event(job)", event, "a pb.JobEvent", [(event is None, "it returned nothing; is there a return?")]
    )
    return event


def test_task_1_agrees_with_the_reference_on_every_input(judge):
    judge.task(1)


# -- task 2


@ONCE_A_MINUTE
def test_task_2_sends_the_present_state_at_once(world):
    for status in ("queued", "running", "retry"):
        job = world.insert(status, version=3)
        got = _first(_watch(world, job))
        _same(got, job, f"the first event of a {status} job")


@ONCE_A_MINUTE
def test_task_2_refuses_an_unknown_id(world):
    _refused(world, uuid4(), StatusCode.NOT_FOUND, "there is no such job, so raise JobNotFound")


@ONCE_A_MINUTE
def test_task_2_refuses_what_is_no_id(world):
    for text in ("", "not-an-id", "{aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee}"):
        _refused(
            world, text, StatusCode.INVALID_ARGUMENT, "that is no id; parse_job_id says so in the right way"
        )


def _refused(world, job_id, wanted, remedy):
    what = f"WatchJob(job_id={str(job_id)!r})"
    try:
        got = brief(world.stream("WatchJob", job_id=job_id).next(SOON))
    except RpcFailed as failed:
        got = failed.code.name
    except Hang:
        pytest.fail(f"{what}: your stream sent nothing and did not end; {remedy}")
    except AssertionError:
        pytest.fail(f"{what}: your stream ended with OK and had sent nothing, as if all were well; {remedy}")
    except (AttributeError, ValueError, psycopg.DataError) as error:
        pytest.fail(f"{what} raised {type(error).__name__}: {str(error).splitlines()[0]}; {remedy}")
    assert got == wanted.name, diagnose(what, got, wanted.name)


def test_task_2_agrees_with_the_reference_on_every_input(judge):
    judge.task(2)


# -- task 3


@OFTEN
def test_task_3_sends_each_change(world):
    job = world.insert()
    stream = _watch(world, job)
    _first(stream)
    for status in ("running", "retry", "queued"):
        job = world.update(job, status)
        _same(_next(stream, job), job, f"the event after the job became {status}")


@OFTEN
def test_task_3_sends_nothing_while_the_job_stays_as_it_is(world):
    job = world.insert()
    stream = _watch(world, job)
    _first(stream)
    _nothing(stream, 0.15, "send an event only when the version has risen")
    job = world.update(job, "running")
    _same(_next(stream, job), job, "the event after the job became running")


@OFTEN
def test_task_3_sends_each_change_once(world):
    job = world.insert()
    stream = _watch(world, job)
    _first(stream)
    job = world.update(job, "running")
    _next(stream, job)
    _nothing(stream, 0.15, "the same change came again; remember what you sent last, each time")


@OFTEN
def test_task_3_tells_one_attempt_from_the_next(world):
    job = world.insert("running")
    stream = _watch(world, job)
    _first(stream)
    # Between two looks the attempt has failed, the job was queued again, and the next attempt has begun.
    job = world.update(job, "running", attempts=2)
    try:
        event = stream.next(SOON)
    except Hang as hang:
        raise Hang(
            f"{hang}. The job is running as before, but it is another attempt: the version tells, the state does not"
        ) from None
    _same(event, job, "the event of the second attempt")


@OFTEN
def test_task_3_sends_nothing_for_a_heartbeat(world):
    job = world.insert("running")
    stream = _watch(world, job)
    _first(stream)
    world.sql(
        "UPDATE tasks SET lease_expires_at = now() + interval '2 minutes' WHERE task_id = %s", job.task_id
    )
    _nothing(
        stream, 0.15, "a heartbeat moved lease_expires_at, and that is no change: compare versions, not rows"
    )


# A sleep in the loop must last longer than a client waits here, and end while the test's server waits to be closed.
@pytest.mark.settings(watch_poll_seconds=stretched(SOON) + 5)
def test_task_3_leaves_the_loop_to_others(world):
    job = world.insert()
    _first(_watch(world, job))
    try:
        world.call("GetJob", SOON, job_id=job.task_id)
    except Hang as hang:
        raise Hang(f"while one client watches, nobody else gets an answer: {hang}") from None


@ONCE_A_MINUTE
def test_task_3_waits_between_two_looks(world):
    job = world.insert()
    looks = Looks(world, job)
    stream = _watch(world, job)
    _first(stream)
    stream.nothing_for(0.2)
    assert looks.number <= 5, (
        f"your stream asked the database {looks.number} times in a fifth of a second, and watch_poll_seconds is 60: "
        "wait between two looks"
    )


@OFTEN
def test_task_3_looks_as_often_as_the_settings_say(world):
    job = world.insert()
    looks = Looks(world, job)
    _first(_watch(world, job))
    try:
        world.until(lambda: looks.number >= 12, "the row was read 12 times", SOON)
    except Hang as hang:
        raise Hang(
            f"{hang}; it was read {looks.number} times, and app.settings.watch_poll_seconds is 0.02"
        ) from None


def test_task_3_agrees_with_the_reference_on_every_input(judge):
    judge.task(3)


# -- task 4


@OFTEN
def test_task_4_sends_the_last_event_and_ends(world):
    for status in ENDED:
        job = world.insert("running")
        stream = _watch(world, job)
        _first(stream)
        job = world.update(job, status)
        try:
            event = _next(stream, job)
        except Hang:
            raise
        except AssertionError:
            pytest.fail(
                f"your stream ended without an event for {status}: its client never learns how the job ended"
            )
        _same(event, job, f"the event after the job became {status}")
        _ends(stream, status)


@ONCE_A_MINUTE
def test_task_4_ends_at_once_when_the_job_had_ended_before(world):
    for status in ENDED:
        job = world.insert(status)
        stream = _watch(world, job)
        _same(_first(stream), job, f"the only event of a {status} job")
        _ends(stream, status)


@OFTEN
def test_task_4_goes_on_after_a_retry(world):
    job = world.insert("running")
    stream = _watch(world, job)
    _first(stream)
    for status in ("retry", "queued", "running", "succeeded"):
        job = world.update(job, status)
        try:
            _next(stream, job)
        except Hang:
            raise
        except AssertionError as error:
            pytest.fail(
                f"{error}: a job that waits for a retry has not ended, and nor has one that is queued again"
            )
    _ends(stream, "succeeded")


@OFTEN
def test_task_4_ends_when_the_row_is_gone(world):
    job = world.insert("running")
    stream = _watch(world, job)
    _first(stream)
    world.sql("DELETE FROM tasks WHERE task_id = %s", job.task_id)
    try:
        got = brief(stream.next(SOON))
    except RpcFailed as failed:
        got = failed.code.name
    except AttributeError as error:
        pytest.fail(
            f"the row was deleted while you watched it, and your stream broke: {error}. get_job_row answers None then, "
            "at any look, not only the first"
        )
    except Hang as hang:
        raise Hang(f"{hang}. The row was deleted meanwhile: that ends a watch, with NOT_FOUND") from None
    except BaseExceptionGroup as group:
        inside = ", ".join(type(error).__name__ for error in group.exceptions)
        pytest.fail(
            f"the row was deleted while you watched it: expected NOT_FOUND, and your code raised {inside} within "
            f"{type(group).__name__}, as a TaskGroup raises what its tasks raise. The server knows JobNotFound itself, "
            "and no group of it"
        )
    except AssertionError:
        got = "OK"
    assert got == "NOT_FOUND", diagnose("WatchJob when the row is deleted meanwhile", got, "NOT_FOUND")


def _ends(stream, status):
    try:
        stream.end(SOON)
    except Hang as hang:
        raise Hang(f"{hang}: {status} is a terminal state: nothing can follow, so return") from None


def test_task_4_agrees_with_the_reference_on_every_input(judge):
    judge.task(4)


# -- task 5


@pytest.mark.settings(watch_poll_seconds=0.05)
def test_task_5_stops_looking_when_the_client_leaves(world):
    job = world.insert()
    looks = Looks(world, job)
    stream = _watch(world, job)
    _first(stream)
    world.until(lambda: looks.number >= 3, "the row was read three times", SOON)
    stream.leave()
    try:
        world.until(lambda: looks.quiet_for(0.3), "nobody read the row any more", SOON)
    except Hang:
        pytest.fail(
            "the client has left, and your code still reads the row, again and again: gRPC cancels what runs for "
            "the call; do not catch that, and do not let anything run on that it can't reach"
        )


@ONCE_A_MINUTE
def test_task_5_leaves_no_task_behind(world):
    job = world.insert()
    stays = _watch(world, job)
    _first(stays)
    before = world.tasks()
    others = [_watch(world, job) for _ in range(4)]
    for stream in others:
        _first(stream)
    for stream in others:
        stream.nothing_for(0.05)
        stream.leave()
    try:
        # A stream may start its tasks after its first event, so three more are allowed for the one that stays.
        world.until(lambda: len(world.tasks() - before) <= 3, "the streams were gone", SOON)
    except Hang:
        names = {task.get_coro().__qualname__ for task in world.tasks() - before}
        names = sorted(name for name in names if "AioServer" not in name)  # gRPC's own
        pytest.fail(
            "four clients have left, and tasks that were started for them still live: whoever starts a task also "
            f"ends it, in a `finally` (alive: {', '.join(names)})"
        )


@OFTEN
def test_task_5_leaves_the_other_watchers_alone(world):
    job = world.insert()
    leaves, stays = _watch(world, job), _watch(world, job)
    _first(leaves)
    _first(stays)
    leaves.leave()
    world.call(
        "GetJob", job_id=job.task_id
    )  # the same connection, so the server knows that the other has left
    job = world.update(job, "running")
    try:
        _same(stays.next(SOON), job, "the event for the client that stayed")
    except Hang as hang:
        raise Hang(f"{hang}. Two clients watched; one left, and the other hears nothing more") from None


def test_task_5_agrees_with_the_reference_on_every_input(judge):
    judge.task(5)


# -- task 6, stretch


@OFTEN
def test_task_6_does_not_send_again_what_was_seen(world):
    job = world.insert("running", version=3)
    stream = _watch(world, job, after_version=3)
    _nothing(stream, 0.2, "the client has seen version 3 (after_version=3); send only what is newer")
    job = world.update(job, "retry")
    _same(_next(stream, job), job, "the first event after_version=3")


@ONCE_A_MINUTE
def test_task_6_sends_at_once_what_was_missed(world):
    job = world.insert("running", version=3)
    stream = _watch(world, job, after_version=2)
    try:
        event = stream.next(SOON)
    except Hang as hang:
        raise Hang(
            f"{hang}. The client has seen version 2, the row is at 3: that is one newer, so send it"
        ) from None
    _same(event, job, "the first event after_version=2")


@ONCE_A_MINUTE
def test_task_6_ends_at_once_when_the_end_was_seen(world):
    for status, after_version in (("succeeded", 4), ("cancelled", 4), ("failed", 9)):
        job = world.insert(status, version=4)
        stream = _watch(world, job, after_version=after_version)
        try:
            stream.end(SOON)
        except Hang as hang:
            raise Hang(
                f"{hang}. The job is {status}: there is nothing to send, and nothing to wait for"
            ) from None
        except AssertionError as error:
            pytest.fail(
                f"{error}, for the client has seen version {after_version} and the row is at version 4"
            )


@OFTEN
def test_task_6_sends_no_version_that_is_older(world):
    job = world.insert("running", version=3)
    stream = _watch(world, job, after_version=4)
    _nothing(stream, 0.2, "after_version=4 asks for what is newer than 4, and 3 is not; is it > or !=?")
    job = world.update(job, "retry")
    _nothing(stream, 0.2, "after_version=4 asks for what is newer than 4, and 4 is not")
    job = world.update(job, "queued")
    _same(_next(stream, job), job, "the first event after_version=4")


def test_task_6_agrees_with_the_reference_on_every_input(judge):
    judge.task(6)


# -- task 7, stretch


@ONCE_A_MINUTE
def test_task_7_wakes_on_the_hint(world):
    job = world.insert()
    stream = _watch(world, job)
    _first(stream)
    _subscribed(world, job)
    for status in ("running", "succeeded"):
        job = world.update(job, status, hint=True)
        try:
            event = stream.next(SOON)
        except Hang as hang:
            raise Hang(
                f"{hang}. A hint came on {channel(job.task_id)}: look into the database then"
            ) from None
        _same(event, job, f"the event after the hint that the job became {status}")


@ONCE_A_MINUTE
def test_task_7_misses_no_change_between_the_first_look_and_the_subscription(world):
    job = world.insert()
    looks = Looks(world, job)
    changed = []
    had_subscribed = []

    async def change_it() -> None:
        # Who has subscribed by now gets the hint; who has not must look once more after it has.
        await _until_subscribed(world, job, seconds=2)
        had_subscribed.append(await asyncio.to_thread(_subscribers, world, job.task_id))
        changed.append(await asyncio.to_thread(world.update, job, "running", True))

    looks.after_the_first = change_it
    stream = _watch(world, job)
    if _first(stream).version == job.version:
        try:
            _same(stream.next(SOON), changed[0], "the second event")
        except Hang as hang:
            raise Hang(
                f"{hang}. The job changed right after your first look, and its hint came "
                + (
                    "to your subscription before that look was answered: it is the reason for another look, so it may "
                    "not be thrown away"
                    if had_subscribed[0]
                    else "before your subscription: subscribe first, look afterwards"
                )
            ) from None


@ONCE_A_MINUTE
def test_task_7_sends_nothing_for_a_hint_alone(world):
    job = world.insert()
    stream = _watch(world, job)
    _first(stream)
    _subscribed(world, job)
    for _ in range(3):
        world.redis.publish(channel(job.task_id), "changed")
    _nothing(
        stream, 0.2, "a hint is no news, only a reason to look; the version says whether anything is new"
    )


@OFTEN
def test_task_7_needs_no_hint(world):
    job = world.insert()
    stream = _watch(world, job)
    _first(stream)
    job = world.update(job, "running")
    try:
        event = stream.next(SOON)
    except Hang as hang:
        raise Hang(
            f"{hang}. The job changed and its hint was lost, as hints may be: look every watch_poll_seconds "
            "all the same"
        ) from None
    _same(event, job, "the event of a change without a hint")


@pytest.mark.settings(watch_poll_seconds=0.15)
@pytest.mark.can_go_away("redis")
@pytest.mark.parametrize("when", ["before the watch", "during the watch"])
def test_task_7_goes_on_without_redis(world, when):
    job = world.insert()
    world.call("GetJob", job_id=job.task_id)  # the server starts while Redis is there
    if when == "before the watch":
        world.proxies["redis"].cut()
        # A connection that idles in the pool may look alive a while longer. Without one, nothing can be subscribed to.
        world.run(lambda app: app.queue.redis.connection_pool.disconnect())
    try:
        stream = _watch(world, job)
        _first(stream)
        world.proxies["redis"].cut()
        for status in ("running", "succeeded"):  # the second cannot have been seen before Redis was missed
            job = world.update(job, status)
            _same(_next(stream, job), job, "the event of a change while Redis is away")
    except NotImplementedError:
        raise
    except RuntimeError:
        pytest.fail(
            f"Redis went away {when}, and get_message raised RuntimeError, for there was no subscription. Catch "
            "that as well, or remember that you have none, and sleep instead"
        )
    except (RedisError, OSError) as error:
        pytest.fail(
            f"Redis went away {when}, and your stream broke ({type(error).__name__}). Without Redis there are no "
            "hints, and that is all: go on looking every watch_poll_seconds"
        )


@ONCE_A_MINUTE
@pytest.mark.can_go_away("redis")
def test_task_7_waits_between_two_looks_without_redis_too(world):
    job = world.insert()
    looks = Looks(world, job)
    stream = _watch(world, job)
    _first(stream)
    _subscribed(world, job)
    world.proxies["redis"].cut()
    try:
        stream.nothing_for(0.3)
    except AssertionError as error:
        pytest.fail(f"{error}. Only Redis went away: what was sent before that counts as before")
    except (RedisError, OSError) as error:
        pytest.fail(
            f"Redis went away, and your stream broke ({type(error).__name__}); it could go on without hints"
        )
    assert looks.number <= 10, (
        f"Redis went away, and your stream asked the database {looks.number} times in a third of a second: the wait "
        "for a hint fails at once then, so wait in another way"
    )


@ONCE_A_MINUTE
def test_task_7_gives_up_its_subscription_when_the_client_leaves(world):
    job = world.insert()
    stream = _watch(world, job)
    _first(stream)
    _subscribed(world, job)
    stream.nothing_for(0.05)
    stream.leave()
    _given_up(world, job.task_id, "the client has left")


@ONCE_A_MINUTE
def test_task_7_gives_up_its_subscription_when_the_stream_ends(world):
    job = world.insert()
    stream = _watch(world, job)
    _first(stream)
    _subscribed(world, job)
    job = world.update(job, "succeeded", hint=True)
    _next(stream, job)
    _ends(stream, job.status)
    _given_up(world, job.task_id, "the job has ended")
    unknown = uuid4()
    with pytest.raises(RpcFailed):
        world.stream("WatchJob", job_id=unknown).next(SOON)
    _given_up(world, unknown, "there is no such job")


def _given_up(world, task_id, why):
    try:
        world.until(lambda: not _subscribers(world, task_id), "it was given up", SOON)
    except Hang:
        pytest.fail(
            f"{why}, and {channel(task_id)} still has a subscriber: give it up, however the stream ends"
        )


@ONCE_A_MINUTE
def test_task_7_gives_its_connection_back(world):
    job = world.insert()
    _come_and_go(world, job)
    before = len(_connections(world))
    for _ in range(5):
        _come_and_go(world, job)
    try:
        world.until(lambda: len(_connections(world)) <= before + 3, "they were given back", SOON)
    except Hang:
        more = len(_connections(world)) - before
        pytest.fail(
            f"five clients came and went, and there are {more} connections to Redis more than before: close the "
            "PubSub, which holds a connection of its own"
        )


def _come_and_go(world, job):
    stream = _watch(world, job)
    _first(stream)
    _subscribed(world, job)
    stream.nothing_for(0.05)
    stream.leave()
    _given_up(world, job.task_id, "the client has left")


def _connections(world):
    index = str(world.settings.redis_db)
    return [client for client in world.redis.client_list() if client["db"] == index]


def _subscribers(world, task_id):
    [(_, number)] = world.redis.pubsub_numsub(channel(task_id))
    return number


def _hears_a_pattern(world):
    index = str(world.settings.redis_db)
    return any(client["db"] == index and client["psub"] != "0" for client in world.redis.client_list())


def _subscribed(world, job):
    try:
        world.until(
            lambda: _subscribers(world, job.task_id) or _hears_a_pattern(world), "somebody subscribed", 2
        )
    except Hang:
        pytest.fail(
            f"nobody has subscribed to {channel(job.task_id)} since the stream began, so no hint can wake it"
        )


async def _until_subscribed(world, job, seconds):
    end = time.monotonic() + stretched(seconds)
    while not await asyncio.to_thread(_subscribers, world, job.task_id) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.mark.can_go_away("redis")
def test_task_7_agrees_with_the_reference_on_every_input(judge):
    judge.task(7)


# -- what all tasks use


class Looks:
    """Every statement about a job that the server sends to the database, from now on."""

    def __init__(self, world, job):
        world.call("GetJob", job_id=job.task_id)  # starts the server: from now on world.app is the server's
        self._job = job
        self._db = world.app.db
        self._fetch_all, self._transaction = self._db.fetch_all, self._db.transaction
        self._db.fetch_all, self._db.transaction = self._count_fetch, self._count_transaction
        self._last = time.monotonic()
        self.number = 0
        self.after_the_first = None
        """Awaited when the first of them has been answered, before the one who asked goes on."""

    def quiet_for(self, seconds):
        """Whether the last of them is so long ago."""
        return time.monotonic() - self._last >= seconds

    async def _count_fetch(self, sql, params=None):
        answer = await self._fetch_all(sql, params)
        if str(self._job.task_id) in f"{sql} {params}":
            await self._note()
        return answer

    async def _count_transaction(self, work):
        answer = await self._transaction(work)
        await self._note()
        return answer

    async def _note(self):
        self.number += 1
        self._last = time.monotonic()
        if self.after_the_first is not None:
            then, self.after_the_first = self.after_the_first, None
            await then()


def _watch(world, job, **fields):
    return world.stream("WatchJob", job_id=job.task_id, **fields)


def _first(stream):
    try:
        return stream.next(SOON)
    except RpcFailed as failed:
        pytest.fail(
            f"your stream ended with {failed} before its first event; is watch_job an async function that yields "
            "events?"
        )
    except Hang as hang:
        raise Hang(f"{hang}. The first event comes at once: look, send, and only then wait") from None
    except AssertionError:
        pytest.fail(
            "your stream ended with OK and had sent nothing: an event gets to the client by yield (or by awaiting "
            "context.write), not by return"
        )


def _next(stream, job):
    try:
        return stream.next(SOON)
    except Hang as hang:
        raise Hang(
            f"{hang}. The row is {job.status} v{job.version} by now; does each turn of your loop read it anew?"
        ) from None


def _nothing(stream, seconds, remedy):
    try:
        stream.nothing_for(seconds)
    except AssertionError as error:
        pytest.fail(f"{error}: {remedy}")


def _same(event, job, what):
    got, wanted = (_state(event.state), event.version), (_state_of(job), job.version)
    assert got == wanted, diagnose(
        f"state and version of {what}",
        got,
        wanted,
        [(event.version < job.version, "that is older than the row; was it sent before?")],
    )
    assert event.job_id == str(job.task_id), diagnose(f"job_id of {what}", event.job_id, str(job.task_id))


def _state(number):
    return pb.JobState.Name(number).removeprefix("JOB_STATE_") if number in pb.JobState.values() else number


def _state_of(job):
    return job.status.name
