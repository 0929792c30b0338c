"""Chapter 04: what CancelJob must do. Run it with `pytest chapters/04_cancel`."""

import logging
from dataclasses import replace
from uuid import UUID, uuid4

import grpc
import pytest
from redis.exceptions import RedisError, ResponseError
from scheduler.entry import Entry
from scheduler.jobs import Job, Priority, Status
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker.one_job import Outcome

from workbook import rivals
from workbook.diagnose import diagnose
from workbook.loop import Hang
from workbook.stream import RpcFailed

OPEN = ["queued", "running", "retry"]
ENDED = ["succeeded", "failed", "deadletter", "cancelled"]


# -- task 1


@pytest.mark.parametrize("status", OPEN)
def test_task_1_cancels_a_job_that_has_not_ended(code, world, status):
    job = world.insert(status)
    world.run(code.cancel_in_database, job.task_id)
    got = _row(world, job.task_id).status
    assert got == "cancelled", diagnose(
        f"the row of a {status} job after cancel_in_database",
        str(got),
        "cancelled",
        [
            (
                got == status == "retry",
                "a job that waits for a retry has not ended either; it can be cancelled too",
            ),
            (
                got == status,
                "it is as it was; is the statement awaited, and does its WHERE let this status through?",
            ),
        ],
    )


@pytest.mark.parametrize("status", ["queued", "running"])
def test_task_1_returns_the_job_as_it_is_then(code, world, status):
    job = world.insert(status)
    got = world.run(code.cancel_in_database, job.task_id)
    row = _row(world, job.task_id)
    expected = "the cancelled Job"
    if not isinstance(got, Job):
        pytest.fail(
            diagnose(
                f"cancel_in_database of a {status} job",
                got,
                expected,
                [
                    (
                        got is None and row.status == "cancelled",
                        "it cancelled the job and returned None: RETURNING * gives the row back",
                    ),
                    (isinstance(got, dict), "the row as a dict; Job.from_row makes a Job of it"),
                    (isinstance(got, bool), "the caller needs the job itself, for its priority and its type"),
                ],
            )
        )
    assert _essence(got) == _essence(row), diagnose(
        f"the Job that cancel_in_database returned for a {status} job",
        _essence(got),
        _essence(row),
        [(got.status == status, "the job as it was before; return the row that the UPDATE gives back")],
    )


@pytest.mark.parametrize("status", OPEN)
def test_task_1_sets_the_columns_that_a_cancel_sets(code, world, status):
    job = world.insert(status)
    world.run(code.cancel_in_database, job.task_id)
    row = _row(world, job.task_id)
    assert row.version == job.version + 1, diagnose(
        "version after a cancel",
        row.version,
        job.version + 1,
        [(row.version == job.version, "version did not rise, so a watch would not see the change")],
    )
    assert row.updated_at > job.updated_at, (
        "updated_at stayed as it was; the cancel is a change, so it is now()"
    )
    assert row.finished_at is not None, "finished_at is NULL; a cancelled job has ended, so it is now()"
    assert row.finished_at > job.updated_at, (
        "finished_at is an old time; the job ended just now, so it is now()"
    )


def test_task_1_means_now_whatever_the_zone_of_the_database(code, world):
    [row] = world.sql("SELECT current_database() AS name")
    world.sql(f"ALTER DATABASE {row['name']} SET timezone TO 'IST-5:30'")
    job = world.insert("running")
    [before] = world.sql("SELECT clock_timestamp() AS now")
    world.run(code.cancel_in_database, job.task_id)
    [after] = world.sql("SELECT clock_timestamp() AS now")
    row = _row(world, job.task_id)
    for column in ("finished_at", "updated_at"):
        got = getattr(row, column)
        assert got is not None and before["now"] <= got <= after["now"], diagnose(  # noqa: PT018
            f"{column}, where the database's session is 5:30 h ahead of UTC",
            str(got),
            f"now, by the database's clock: {before['now']} at least, and {after['now']} at most",
            [
                (
                    got is not None and abs((got - before["now"]).total_seconds()) > 3_600,
                    "a time without a zone is read in the session's zone, which you do not know; now() has its zone",
                )
            ],
        )


@pytest.mark.parametrize("status", OPEN)
def test_task_1_leaves_the_other_columns_alone(code, world, status):
    job = world.insert(
        status, type="send_mail", payload='{"to": "you"}', priority="low", idempotency_key="once"
    )
    other = world.insert(status)
    world.run(code.cancel_in_database, job.task_id)
    row = _row(world, job.task_id)
    same = replace(
        job,
        status=row.status,
        version=row.version,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
        pushed_at=None,
        next_run_at=None,
        lease_expires_at=None,
        worker=row.worker,
    )
    changed = [name for name in Job.__slots__ if getattr(row, name) != getattr(same, name)]
    assert not changed, (
        f"a cancel has nothing to do with {', '.join(changed)}; leave what is not in the contract"
    )
    assert _row(world, other.task_id) == other, "another job was changed too; the WHERE must name the id"
    assert not world.attempts(job.task_id), (
        "a cancel writes no row of task_attempts: that is for attempts that ended"
    )


@pytest.mark.parametrize("status", ENDED)
def test_task_1_leaves_a_job_that_has_ended(code, world, status):
    job = world.insert(status)
    got = world.run(code.cancel_in_database, job.task_id)
    row = _row(world, job.task_id)
    changed = [name for name in Job.__slots__ if getattr(row, name) != getattr(job, name)]
    assert not changed, (
        f"the job had ended as {status}, and cancel_in_database changed its {', '.join(changed)}: the WHERE must ask "
        "for the status, so that no row is written that has ended"
    )
    assert got is None, diagnose(f"cancel_in_database of a {status} job", got, None)


def test_task_1_returns_none_for_a_job_that_is_not_there(code, world):
    got = world.run(code.cancel_in_database, uuid4())
    assert got is None, diagnose("cancel_in_database of an unknown job", got, None)


def test_task_1_leaves_a_job_that_ends_at_the_same_moment(code, world):
    job = world.insert("running")
    with world.locked(job, status="succeeded") as worker:
        running = world.start(code.cancel_in_database, job.task_id)
        worker.wait_for(running)
        worker.commit()
    got = running.result()
    row = _row(world, job.task_id)
    assert row.status == "succeeded", (
        "a worker finished the job between your look and your write, and the cancel wrote over it: let one UPDATE both "
        "ask for the status and set it"
    )
    assert got is None, diagnose("cancel_in_database of a job that a worker finished first", got, None)


def test_task_1_leaves_the_loop_to_others(code, world):
    job, other = world.insert("running"), world.insert()
    with world.locked(job, status="running") as worker:
        running = world.start(code.cancel_in_database, job.task_id)
        worker.wait_for(running)
        try:
            world.call("GetJob", job_id=other.task_id)
        except Hang as hang:
            pytest.fail(f"while cancel_in_database waits for a row, nobody else gets an answer: {hang}")
        worker.commit()
    running.result()


@pytest.mark.processes(2)
def test_task_1_agrees_with_the_reference_on_every_input(judge):
    judge.task(1)


def _row(world, task_id) -> Job:
    row = world.row(task_id)
    assert row is not None, "the job's row is gone: a cancel changes it, and deletes nothing"
    return row


def _essence(job: Job) -> dict[str, object]:
    return {"task_id": str(job.task_id), "status": str(job.status), "version": job.version}


# -- task 2


def test_task_2_removes_the_entry(code, world):
    job = world.insert(priority="high")
    _push(world, job)
    got = _remove(code, world, job)
    assert not world.redis.lrange("q:high", 0, -1), diagnose(
        "what remove_entry took out of q:high", got, 1, _why_nothing_was_removed(world)
    )
    assert got == 1, diagnose("remove_entry", got, 1, _why_not_a_number(got))


def test_task_2_finds_the_entry_of_any_type(code, world):
    job = world.insert(type='say "größe"', priority="low")
    _push(world, job)
    _remove(code, world, job)
    assert not world.redis.llen("q:low"), (
        'the entry of a job of the type say "größe" is still there: you spelled its bytes anew and differently; '
        "app.parts.encode_entry knows them"
    )


def test_task_2_removes_every_entry_of_the_job(code, world):
    job = world.insert()
    for _ in range(3):
        _push(world, job)
    got = _remove(code, world, job)
    left = world.redis.llen("q:default")
    assert left == 0, diagnose(
        "entries left of three equal ones",
        left,
        0,
        [(left == 2, "one was removed, and an entry may be there several times; LREM's count 0 means all")],
    )
    assert got == 3, diagnose("remove_entry of a job with three entries", got, 3, _why_not_a_number(got))


def test_task_2_leaves_the_entries_of_other_jobs(code, world):
    jobs = [world.insert() for _ in range(3)]
    for job in jobs:
        _push(world, job)
    _remove(code, world, jobs[1])
    got = world.redis.lrange("q:default", 0, -1)
    kept = [_bytes(world, jobs[2]), _bytes(world, jobs[0])]
    assert got == kept, diagnose(
        "q:default, where one of three jobs was removed",
        got,
        kept,
        [(not got, "the entries of other jobs went too; remove the one, not the queue")],
    )


def test_task_2_answers_0_when_there_is_no_entry(code, world):
    got = _remove(code, world, world.insert("running"))
    assert got == 0, diagnose("remove_entry of a job without an entry", got, 0, _why_not_a_number(got))


def test_task_2_lets_the_error_of_redis_through(code, world):
    job = world.insert()
    world.redis.set("q:default", "not a list")
    try:
        got = world.run(code.remove_entry, job)
    except RedisError:
        return
    pytest.fail(
        f"q:default holds a text and no list, which Redis refuses (WRONGTYPE), and remove_entry returned {got!r} all "
        "the same: let the error through, for its caller decides what that means"
    )


def test_task_2_agrees_with_the_reference_on_every_input(judge):
    judge.task(2)


def _remove(code, world, job):
    try:
        return world.run(code.remove_entry, job)
    except ResponseError as error:
        pytest.fail(
            f"Redis refused a command of remove_entry: {error}. If that was LREM: its arguments are the list, the "
            "count, the value"
        )
    except RedisError as error:
        pytest.fail(f"redis-py refused a command of remove_entry ({type(error).__name__}): {error}")


def _push(world, job):
    world.redis.lpush(f"q:{job.priority}", _bytes(world, job))


def _bytes(world, job) -> bytes:
    return world.app.parts.encode_entry(Entry(job.task_id, job.type, job.priority))


def _why_nothing_was_removed(world):
    empty = not world.redis.exists("q:high")
    return [
        (
            not empty,
            "the entry is still there; look in the queue of the job's priority, for the bytes that "
            "app.parts.encode_entry gives",
        )
    ]


def _why_not_a_number(got):
    return [
        (got is None, "it returned nothing; LREM answers with the number"),
        (isinstance(got, bool), "how many, not whether; LREM answers with the number"),
    ]


# -- task 3


@pytest.mark.parametrize("status", OPEN)
def test_task_3_answers_true_when_it_cancels(world, status):
    job = world.insert(status)
    got = _cancel(world, job.task_id)
    row = _row(world, job.task_id)
    assert row.status == "cancelled", f"CancelJob answered {got}, and the job is {row.status}"
    assert got is True, f"the {status} job was cancelled, and CancelJob answered false"


@pytest.mark.parametrize("status", ["succeeded", "cancelled"])
def test_task_3_answers_false_when_the_job_has_ended(world, status):
    job = world.insert(status)
    try:
        got = _cancel(world, job.task_id)
    except RpcFailed as failed:
        pytest.fail(
            f"the job is {status}, and CancelJob ended with {failed}: it is there, so the answer is false"
        )
    assert got is False, f"the job had ended as {status}, and CancelJob answered true"
    assert _row(world, job.task_id) == job, f"the job had ended as {status}, and its row was changed"


def test_task_3_says_not_found_for_an_unknown_job(world):
    got = _answer_or_status(world, uuid4())
    assert got == "NOT_FOUND", diagnose(
        "CancelJob of a job that nobody knows",
        got,
        "NOT_FOUND",
        [(got is False, "false is for jobs that have ended; an unknown one is NOT_FOUND")],
    )


@pytest.mark.parametrize("job_id", ["", "not-a-uuid"])
def test_task_3_refuses_a_malformed_id(world, job_id):
    try:
        got = _answer_or_status(world, job_id)
    except ValueError as error:
        pytest.fail(
            f"the id {job_id!r} raised {error!r} in your code; parse_job_id refuses it in the right way"
        )
    assert got == "INVALID_ARGUMENT job_id", diagnose(
        f"CancelJob of {job_id!r}",
        got,
        "INVALID_ARGUMENT job_id",
        [(got == "INVALID_ARGUMENT", "it does not name the field that is wrong; parse_job_id does")],
    )


def test_task_3_removes_the_entry(world):
    job = _submit(world)
    assert world.redis.llen("q:high") == 1
    _cancel(world, job.task_id)
    assert world.redis.llen("q:high") == 0, (
        "the job is cancelled, and its entry is still in q:high: remove it too"
    )


def test_task_3_touches_redis_only_after_the_database(world):
    job = _submit(world)
    with world.locked(job, status="running", attempts=1) as worker:
        calling = world.begin("CancelJob", job_id=job.task_id)
        worker.wait_for(calling)
        left = world.redis.llen("q:high")
        worker.commit()
    calling.result()
    assert left == 1, (
        "the entry was gone before the database had said yes: if the database then says no, a queued job is left "
        "without an entry; write to the database first"
    )


def test_task_3_wakes_those_who_watch(world):
    job = world.insert()
    with world.redis.pubsub(ignore_subscribe_messages=True) as hints:
        hints.subscribe(f"job:{job.task_id}")
        hints.get_message(timeout=5)  # that we are subscribed
        _cancel(world, job.task_id)
        assert hints.get_message(timeout=2), (
            "nobody told the watchers of this job, so they learn of it a poll later: app.hints.changed([task_id])"
        )


@pytest.mark.can_go_away("redis")
def test_task_3_cancels_when_redis_is_away(world):
    job = world.insert()
    got = _cancel_without_redis(world, job)
    assert got is True, diagnose("CancelJob while Redis is away", got, True)
    assert _row(world, job.task_id).status == "cancelled"


def test_task_3_cancels_when_redis_refuses(world):
    job = world.insert()
    world.redis.set("q:default", "not a list")
    try:
        got = _cancel(world, job.task_id)
    except RedisError as error:
        pytest.fail(
            f"Redis refused with a {type(error).__name__}, and the call failed with it: the job is cancelled all the "
            "same, so catch every RedisError, log it, and answer true"
        )
    assert got is True, diagnose("CancelJob while Redis refuses to remove the entry", got, True)


@pytest.mark.can_go_away("redis")
def test_task_3_says_in_the_log_that_an_entry_stays(world, caplog):
    with caplog.at_level(logging.DEBUG):
        _cancel_without_redis(world, world.insert())
    given = ("scheduler.hints", "scheduler.duties")
    loud = [one for one in caplog.records if one.levelno >= logging.WARNING and one.name not in given]
    assert loud, "the entry stays in Redis, and nobody will ever know: log a warning"


def test_task_3_hides_no_mistake_but_the_failure_of_redis(world):
    job = world.insert()
    world.serve()
    with rivals.failing(world, _Mistake("a mistake on the way to Redis")) as redis:
        try:
            world.call("CancelJob", job_id=job.task_id)
        except _Mistake:
            return
    assert redis.asked, (
        "a queued job was cancelled, and app.queue.redis, which is given, was not asked for anything"
    )
    pytest.fail(
        "remove_entry has a mistake, and cancel_job hid it: catch redis-py's RedisError and nothing wider"
    )


@pytest.mark.can_go_away("redis")
def test_task_3_leaves_the_loop_to_others_while_redis_is_slow(world):
    job, other = world.insert(), world.insert()
    world.call("GetJob", job_id=other.task_id)  # connects while Redis is quick
    world.proxies["redis"].hold()
    calling = world.begin("CancelJob", job_id=job.task_id)
    world.until(
        lambda: calling.done or _row(world, job.task_id).status == "cancelled", "the job was cancelled"
    )
    try:
        world.call("GetJob", job_id=other.task_id)
    except Hang as hang:
        pytest.fail(f"while cancel_job waits for Redis, nobody else gets an answer: {hang}")
    world.proxies["redis"].mend()
    calling.result()


def test_task_3_answers_when_redis_has_answered(code, world):
    job = world.insert()
    with world.redis_stands_still() as asked:
        running = world.start(code.cancel_job, pb.CancelJobRequest(job_id=str(job.task_id)), None)
        world.until(lambda: asked.is_set() or running.done, "Redis was asked")
        world.turns(50)
        early = asked.is_set() and running.done
    running.result()
    assert not early, (
        "Redis had not answered yet, and cancel_job had: a client that has its answer may count on it that the entry "
        "is gone, or that the log says otherwise; await what removes it"
    )


@pytest.mark.can_go_away("database")
def test_task_3_answers_unavailable_when_the_database_is_away(world):
    job = world.insert()
    world.call("GetJob", job_id=job.task_id)
    world.lose_database(wait_seconds=0.5)
    try:
        got = world.call("CancelJob", job_id=job.task_id)
    except RpcFailed as failed:
        got = failed.code.name
    assert got == "UNAVAILABLE", diagnose(
        "CancelJob while the database is away",
        got if isinstance(got, str) else f"cancelled: {str(got.cancelled).lower()}",
        "UNAVAILABLE",
        [
            (
                not isinstance(got, str),
                "it answered as if it had looked, and nobody knows whether the job was cancelled: let the database's "
                "error through, the server makes UNAVAILABLE of it",
            )
        ],
    )


class _Mistake(Exception):
    pass


@pytest.mark.processes(2)
def test_task_3_agrees_with_the_reference_on_every_input(judge):
    judge.task(3)


def _cancel(world, task_id: UUID | str) -> bool:
    try:
        return world.call("CancelJob", job_id=task_id).cancelled
    except RpcFailed as failed:
        if failed.code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
            pytest.fail(
                f"CancelJob ended with {failed}; does cancel_job return a pb.CancelJobResponse(cancelled=…) in each "
                "case?"
            )
        raise


def _answer_or_status(world, task_id: UUID | str) -> bool | str:
    try:
        return _cancel(world, task_id)
    except RpcFailed as failed:
        return " ".join([failed.code.name, *failed.fields])


def _cancel_without_redis(world, job):
    world.call("GetJob", job_id=job.task_id)  # connects while Redis is there
    world.proxies["redis"].cut()
    try:
        return _cancel(world, job.task_id)
    except RedisError as error:
        pytest.fail(
            f"Redis is away, and cancel_job raised {type(error).__name__}: the database has cancelled the job, so "
            "log a warning, and answer true"
        )


def _submit(world) -> Job:
    answer = world.call("SubmitJob", job={"type": "noop", "priority": 2})
    return world.row(UUID(answer.job_id))


# -- task 4, stretch


def test_task_4_cancels_a_job_that_a_worker_claims_first(world):
    job = world.insert()
    with world.locked(job, status="running", attempts=1) as worker:
        calling = world.begin("CancelJob", job_id=job.task_id)
        worker.wait_for(calling)
        early = calling.done
        worker.commit()
    got, row = calling.result().cancelled, _row(world, job.task_id)
    _check_that_it_waited(early, got)
    assert row.status == "cancelled", (
        f"a worker claimed the job a moment earlier, and now it is {row.status}: a running job can be cancelled too, "
        "so do not ask for the one status that you saw"
    )
    assert got is True, (
        "the claim came first and the cancel after it; the job is cancelled, and the answer was false"
    )
    assert row.attempts == 1, "the claim's attempt was taken back; attempts never fall"


def test_task_4_answers_false_when_a_finish_comes_first(world):
    job = world.insert("running")
    with world.locked(job, status="succeeded") as worker:
        calling = world.begin("CancelJob", job_id=job.task_id)
        worker.wait_for(calling)
        early = calling.done
        worker.commit()
    got, row = calling.result().cancelled, _row(world, job.task_id)
    _check_that_it_waited(early, got)
    assert row.status == "succeeded", (
        "the worker finished the job first, and the cancel wrote over its result"
    )
    assert got is False, (
        "the worker finished the job a moment earlier, and the answer was true: what you saw before the UPDATE is old; "
        "what cancel_in_database returned is the answer"
    )


def test_task_4_cancels_a_retry_that_a_failed_attempt_left_first(world):
    job = world.insert("running")
    with world.locked(job, status="retry", last_error="RuntimeError: once") as worker:
        calling = world.begin("CancelJob", job_id=job.task_id)
        worker.wait_for(calling)
        early = calling.done
        worker.commit()
    got, row = calling.result().cancelled, _row(world, job.task_id)
    _check_that_it_waited(early, got)
    assert (got, row.status) == (True, "cancelled"), (
        f"the attempt failed a moment earlier and left a retry; now the job is {row.status}, and the answer was {got}: "
        "a job that waits for a retry has not ended"
    )


def test_task_4_answers_false_when_another_cancel_comes_first(world):
    job = world.insert()
    with world.locked(job, status="cancelled") as other:
        calling = world.begin("CancelJob", job_id=job.task_id)
        other.wait_for(calling)
        early = calling.done
        other.commit()
    got, row = calling.result().cancelled, _row(world, job.task_id)
    _check_that_it_waited(early, got)
    assert got is False, "somebody else cancelled the job first, and both were told that they did it"
    assert row.version == job.version + 1, diagnose(
        "version after two cancels of one job", row.version, job.version + 1
    )


def test_task_4_answers_true_when_a_worker_has_the_entry_already(world):
    job = _submit(world)
    world.redis.delete("q:high")  # a worker took it, and has not claimed the job yet
    got = _cancel(world, job.task_id)
    assert _row(world, job.task_id).status == "cancelled"
    assert got is True, (
        "the job is cancelled, and the answer was false because its entry was not found: the database decides, and "
        "LREM's number does not"
    )


def test_task_4_lets_no_claim_through_while_redis_is_slow(world):
    job = world.insert()
    entry = Entry(job.task_id, job.type, job.priority)
    with world.redis_stands_still():
        calling = world.begin("CancelJob", job_id=job.task_id)
        _wait_until_cancelled(world, job, calling)
        claimed = world.run(world.app.parts.claim, [entry])
    assert claimed == [], "the job was cancelled, and a worker could claim it while Redis was slow"
    assert calling.result().cancelled is True


def test_task_4_lets_no_finish_through_while_redis_is_slow(world):
    job = world.insert("running")
    with world.redis_stands_still():
        calling = world.begin("CancelJob", job_id=job.task_id)
        _wait_until_cancelled(world, job, calling)
        written = world.run(world.app.parts.finish, job, Outcome(Status.SUCCEEDED))
    assert written is False, "the job was cancelled, and a worker could finish it while Redis was slow"
    assert calling.result().cancelled is True
    assert _row(world, job.task_id).status == "cancelled"


@pytest.mark.processes(2)
def test_task_4_agrees_with_the_reference_on_every_input(judge):
    judge.task(4)


def _check_that_it_waited(early: bool, got: bool) -> None:
    assert not early, (
        f"somebody had changed the row and not committed yet, and CancelJob had answered {str(got).lower()} already: "
        "what the row will be is not known before the commit, so it waits for the row, as an UPDATE does by itself "
        "(not so with SKIP LOCKED, NOWAIT, or a look without an UPDATE)"
    )


def _wait_until_cancelled(world, job, calling):
    def look():
        return _row(world, job.task_id).status == "cancelled" or calling.done

    try:
        world.until(look, "the cancel was committed")
    except AssertionError:
        pytest.fail(
            "Redis is slow, and the cancel is not committed: a transaction stays open across a call to Redis (or "
            "Redis comes first), and its lock holds up every worker that wants this row; commit, then go to Redis"
        )
    if calling.done:
        calling.result()


# -- task 5, stretch


def test_task_5_removes_the_lease(world):
    job = world.insert("running", priority=str(Priority.LOW))
    _lease(world, job)
    assert _cancel(world, job.task_id) is True
    _until_released(world, job)


def test_task_5_leaves_the_leases_of_other_jobs(world):
    job, other = world.insert("running"), world.insert("running")
    _lease(world, job)
    _lease(world, other)
    _cancel(world, job.task_id)
    _until_released(world, job)
    assert world.redis.zscore("leases", str(other.task_id)), (
        "the lease of another job went too; ZREM takes one member"
    )


def test_task_5_keeps_the_lease_until_the_database_has_said_yes(world):
    job = world.insert("running")
    _lease(world, job)
    with world.locked(job, status="running") as worker:
        calling = world.begin("CancelJob", job_id=job.task_id)
        worker.wait_for(calling)
        world.run(lambda app: app.hints.close())  # what was to be told by now is told
        kept = world.redis.zscore("leases", str(job.task_id))
        worker.commit()
    calling.result()
    assert kept, "the lease was gone before the database had said yes; ZREM after the UPDATE"
    _until_released(world, job)


@pytest.mark.can_go_away("redis")
def test_task_5_cancels_a_running_job_when_redis_is_away(world):
    first, second = world.insert("running"), world.insert("running")
    _lease(world, first)
    _cancel(world, first.task_id)
    _until_released(world, first)
    assert _cancel_without_redis(world, second) is True


def test_task_5_cancels_a_running_job_when_redis_refuses(world):
    first, second = world.insert("running"), world.insert("running")
    _lease(world, first)
    _cancel(world, first.task_id)
    _until_released(world, first)
    world.redis.set("leases", "not a sorted set")
    try:
        got = _cancel(world, second.task_id)
    except RedisError as error:
        pytest.fail(
            f"ZREM failed with a {type(error).__name__}, and the call failed with it: the lease in Redis is a view for "
            "people; catch this as you catch the failure of LREM"
        )
    assert got is True, diagnose("CancelJob while Redis refuses to remove the lease", got, True)


@pytest.mark.processes(2)
def test_task_5_agrees_with_the_reference_on_every_input(judge):
    judge.task(5)


def _lease(world, job):
    world.redis.zadd("leases", {str(job.task_id): job.lease_expires_at.timestamp() * 1000})


def _until_released(world, job):
    try:
        world.until(
            lambda: world.redis.zscore("leases", str(job.task_id)) is None, "the lease was removed", within=2
        )
    except AssertionError:
        members = world.redis.zrange("leases", 0, -1)
        pytest.fail(
            "the job is cancelled, and its lease is still in the sorted set: ZREM leases, with the member "
            f"{str(job.task_id).encode()!r} (there is {members!r})"
        )
