"""Chapter 02: what GetJob must answer. Run it with `pytest chapters/02_getjob`."""

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import NoReturn
from uuid import UUID, uuid4

import grpc
import psycopg
import pytest
from grpc import aio
from scheduler.jobs import Job, Priority, Status
from scheduler.v1 import scheduler_pb2 as pb

from workbook.diagnose import diagnose
from workbook.stream import RpcFailed

ID = UUID("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee")
NOON = datetime(2024, 5, 17, 12, 0, 0, 123457, UTC)
JOB = Job(
    task_id=ID,
    type="send_mail",
    priority=Priority.HIGH,
    payload_json="{}",
    status=Status.RETRY,
    attempts=2,
    max_attempts=5,
    last_error="RuntimeError: no answer",
    worker=None,
    version=6,
    idempotency_key=None,
    created_at=NOON,
    updated_at=NOON + timedelta(seconds=61, microseconds=2),
    queued_at=NOON + timedelta(hours=1),
    pushed_at=None,
    started_at=NOON + timedelta(seconds=59, microseconds=500_001),
    finished_at=NOON + timedelta(days=2, microseconds=3),
    next_run_at=NOON + timedelta(days=3, microseconds=7),
    lease_expires_at=NOON + timedelta(days=4),
)
"""Every field has a value of its own, so that none can stand for another. (A real row never has all of them.)"""

TIMES = ("created_at", "updated_at", "started_at", "finished_at", "next_run_at")
IN_KOLKATA = timezone(timedelta(hours=5, minutes=30))


# -- task 1


@pytest.mark.parametrize("word", [str(status) for status in Status])
def test_task_1_gives_each_status_its_number(code, word):
    name = f"JOB_STATE_{word.upper()}"
    wanted = pb.JobState.Value(name)
    try:
        got = code.state_to_proto(word)
    except NotImplementedError:
        raise
    except Exception as error:
        _explain(error, f'state_to_proto("{word}") raised {_text(error)}. It gets a word, and answers {name}')
    assert got == wanted, diagnose(
        f'state_to_proto("{word}")',
        got,
        wanted,
        [
            (got is None, "it returned nothing; is there a return?"),
            (isinstance(got, str), "that is text; answer with the number that the text is a name of"),
            (got == 0, f"this status is left out; it is {name}, {wanted}"),
            (got in pb.JobState.values(), f"that number is {_state_name(got)}; this one is {wanted}"),
        ],
    )


def test_task_1_gives_unspecified_for_a_status_that_it_does_not_know(code):
    try:
        got = code.state_to_proto("paused")
    except NotImplementedError:
        raise
    except Exception as error:
        _explain(
            error,
            f'state_to_proto("paused") raised {_text(error)}. A newer server may have written a status that this one '
            "has never heard of: answer UNSPECIFIED, 0",
        )
    assert got == pb.JOB_STATE_UNSPECIFIED, diagnose(
        'state_to_proto("paused")',
        got,
        pb.JOB_STATE_UNSPECIFIED,
        [
            (got is None, "it returned nothing; for an unknown word return UNSPECIFIED, 0"),
            (
                got in pb.JobState.values(),
                f"it says {_state_name(got)} of a job of which nobody knows that; UNSPECIFIED, 0, is honest",
            ),
        ],
    )


def test_task_1_agrees_with_the_reference_on_every_input(judge):
    judge.task(1)


# -- task 2


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("job_id", str(ID)),
        ("state", pb.JOB_STATE_RETRY),
        ("attempts", 2),
        ("last_error", "RuntimeError: no answer"),
        ("type", "send_mail"),
        ("priority", pb.PRIORITY_HIGH),
        ("max_attempts", 5),
        ("version", 6),
    ],
)
def test_task_2_fills_each_field(code, field, wanted):
    got = getattr(_message(code, JOB), field)
    assert got == wanted, diagnose(
        f"{field} of the message",
        got,
        wanted,
        [
            (not got, f"it is left out; JobStatus has thirteen fields, and this one is {wanted!r} here"),
            (field == "priority", f"that is {_priority_name(got)}; this job's priority is {JOB.priority}"),
        ],
    )


@pytest.mark.parametrize("priority", list(Priority))
def test_task_2_gives_each_priority_its_number(code, priority):
    got = _message(code, _another(priority=priority)).priority
    wanted = pb.Priority.Value(f"PRIORITY_{priority.name}")
    assert got == wanted, diagnose(
        f"priority of a {priority} job",
        got,
        wanted,
        [
            (got == 0, f"it is UNSPECIFIED; this one is PRIORITY_{priority.name}, {wanted}"),
            (got in pb.Priority.values(), f"that number is {_priority_name(got)}"),
        ],
    )


def test_task_2_leaves_last_error_empty_where_there_was_none(code):
    got = _message(code, _another(last_error=None)).last_error
    assert got == "", diagnose(
        "last_error of a job whose attempts all went well",
        got,
        "",
        [(got == "None", "that is the word None: str(None) makes text of nothing")],
    )


@pytest.fixture
def far_from_utc(monkeypatch):
    """The machine's own time zone is that of Kolkata, where the system lets a process choose."""
    monkeypatch.setenv("TZ", "IST-5:30")
    if hasattr(time, "tzset"):
        time.tzset()
    yield
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()


@pytest.mark.usefixtures("far_from_utc")
@pytest.mark.parametrize("field", TIMES)
def test_task_2_keeps_each_time_to_the_microsecond(code, field):
    _check_time(_message(code, JOB), field, getattr(JOB, field))


@pytest.mark.usefixtures("far_from_utc")
def test_task_2_keeps_the_moment_of_a_time_in_another_zone(code):
    job = _another(created_at=NOON.astimezone(IN_KOLKATA))
    _check_time(_message(code, job), "created_at", NOON, f" (the row says {job.created_at}, the same moment)")


@pytest.mark.parametrize("field", ["started_at", "finished_at", "next_run_at"])
def test_task_2_leaves_out_a_time_that_is_not_there(code, field):
    message = _message(code, _another(**{field: None}))
    got = getattr(message, field).ToDatetime(UTC)
    assert not message.HasField(field), (
        f"{field} is None in the row, and the message has it as {got}: a client would take that for a time. "
        "Leave the field out"
    )


@pytest.mark.usefixtures("far_from_utc")
def test_task_2_agrees_with_the_reference_on_every_input(judge):
    judge.task(2)


def _another(**changes):
    """A job like JOB but for this, with an id of its own: no other was ever seen with it."""
    return replace(JOB, task_id=uuid4(), **changes)


def _message(code, job):
    try:
        message = code.job_to_status(job)
    except NotImplementedError:
        raise
    except Exception as error:
        _explain(error, _why_no_message(error, job))
    assert isinstance(message, pb.JobStatus), diagnose(
        "job_to_status(job)",
        message,
        "a JobStatus",
        [(message is None, "it returned nothing; is there a return?")],
    )
    return message


def _why_no_message(error, job):
    missing = [name for name in TIMES if getattr(job, name) is None]
    text = str(error)
    if missing and "NoneType" in text:
        return f"{missing[0]} is None in this row, and job_to_status raised {_text(error)}: ask before you convert"
    if "Assignment not allowed" in text or "Expected a datetime object got Timestamp" in text:
        return (
            "a message inside a message can't be assigned: give it to JobStatus(…), or fill it where it is, as "
            f"message.created_at.FromDatetime(…) does ({_text(error)})"
        )
    if "bad argument type" in text:
        return f"protobuf does not take a value of that type; a UUID must become text first ({_text(error)})"
    return f"job_to_status raised {_text(error)}"


def _check_time(message, field, wanted, note=""):
    assert message.HasField(field), f"{field} is left out; in the row it is {wanted}{note}"
    got = getattr(message, field)
    there = getattr(message, field).ToDatetime(UTC)
    wanted_nanos = wanted.microsecond * 1_000
    offset = IN_KOLKATA.utcoffset(None)
    others = [name for name in TIMES if name != field and getattr(JOB, name) == there]
    assert (there, got.nanos) == (wanted, wanted_nanos), diagnose(
        f"{field}{note}",
        f"{there}, {got.nanos} ns",
        f"{wanted}, {wanted_nanos} ns",
        [
            (there.year == 1970, "that is 1970, where protobuf's clock begins; is it filled in?"),
            (bool(others), f"that is the time of {', '.join(others)}"),
            (
                abs(there - wanted) == offset,
                "it is off by 5:30 h, the zone's distance from UTC: the zone was dropped, not converted",
            ),
            (
                got.seconds == int(wanted.timestamp()) and got.nanos == 0,
                "the part after the second is gone; PostgreSQL keeps microseconds, and chapter 05 needs them",
            ),
            (
                abs(there - wanted) < timedelta(milliseconds=1),
                "it is off by less than a millisecond: a float can't hold a time exactly",
            ),
            (
                abs(there - datetime.now(UTC)) < timedelta(days=1),
                "that is the present; the row says when it was",
            ),
        ],
    )


# -- task 3


def test_task_3_answers_with_the_job_of_this_id(world):
    _, job, _ = world.insert("queued"), world.insert("running"), world.insert("succeeded")
    answer = _get(world, job.task_id)
    assert (answer.job_id, answer.state) == (str(job.task_id), pb.JOB_STATE_RUNNING), diagnose(
        "GetJob, asked for the second of three jobs",
        (answer.job_id, answer.state),
        (str(job.task_id), pb.JOB_STATE_RUNNING),
        [(not answer.job_id, "the answer is an empty JobStatus")],
    )


@pytest.mark.parametrize("status", ["queued", "running", "retry", "deadletter"])
def test_task_3_answers_with_all_that_is_known_of_a_job(code, world, status):
    job = world.insert(status, type="send_mail", priority="low", max_attempts=7)
    answer, whole = _get(world, job.task_id), code.job_to_status(world.row(job.task_id))
    here, there = [{field.name: value for field, value in one.ListFields()} for one in (answer, whole)]
    differing = sorted(name for name in here | there if here.get(name) != there.get(name))
    assert answer == whole, (
        f"GetJob says something else of a {status} job than job_to_status does, in {', '.join(differing)}: "
        "do not copy the fields anew, let job_to_status do it"
    )


def test_task_3_takes_an_id_in_upper_case(world):
    job = world.insert("queued")
    try:
        answer = _get(world, str(job.task_id).upper())
    except RpcFailed as failed:
        pytest.fail(
            f"GetJob, asked for the id of a job in upper case, ended with {failed.code.name}: upper case is allowed, "
            "and UUID reads it"
        )
    assert answer.job_id == str(job.task_id), diagnose(
        "job_id, asked for in upper case",
        answer.job_id,
        str(job.task_id),
        [(answer.job_id.lower() == str(job.task_id), "it is answered in lower case: take it from the row")],
    )


def test_task_3_reads_the_row_anew_for_each_call(world):
    job = world.insert("queued")
    _get(world, job.task_id)
    world.update(job, "succeeded")
    got = _get(world, job.task_id).state
    assert got == pb.JOB_STATE_SUCCEEDED, diagnose(
        "state after the job has succeeded",
        _state_name(got),
        "JOB_STATE_SUCCEEDED",
        [(got == pb.JOB_STATE_QUEUED, "that is what the first call saw; ask the database each time")],
    )


def test_task_3_agrees_with_the_reference_on_every_input(judge):
    judge.task(3)


def _get(world, job_id):
    try:
        return world.call("GetJob", job_id=job_id)
    except AttributeError as error:
        if "coroutine" not in str(error):
            raise
        _explain(error, f"get_job_row(…) gives a coroutine, and nobody awaits it ({error})")
    except RpcFailed as failed:
        if not _could_not_be_sent(failed):
            raise
        pytest.fail(
            "get_job returned something that is no JobStatus, and gRPC could not send it: return what job_to_status "
            "gives"
        )


def _could_not_be_sent(failed):
    return "serialize" in failed.details.lower()


# -- task 4


def test_task_4_answers_not_found_for_an_id_that_nobody_has(world):
    world.insert("queued")
    failed = _refused(world, ID, "NOT_FOUND")
    assert failed.code is grpc.StatusCode.NOT_FOUND, diagnose(
        "GetJob, asked for an id that nobody has",
        failed.code.name,
        "NOT_FOUND",
        [
            (
                _could_not_be_sent(failed),
                "get_job returned None, and gRPC can't send nothing; end the call with NOT_FOUND",
            ),
            (
                failed.code is grpc.StatusCode.INVALID_ARGUMENT,
                "the id has the right form, only nobody has it: that is NOT_FOUND",
            ),
            _caught_too_much(failed),
        ],
    )


@pytest.mark.parametrize("job_id", ["", "42", "not-a-uuid", "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeeg"])
def test_task_4_refuses_what_is_no_id(world, job_id):
    failed = _refused(world, job_id, "INVALID_ARGUMENT")
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT, diagnose(
        f"GetJob, asked for {job_id!r}",
        failed.code.name,
        "INVALID_ARGUMENT",
        [
            (
                failed.code is grpc.StatusCode.NOT_FOUND,
                "NOT_FOUND is for an id that somebody could have; this is none, and asking again won't help",
            ),
            _caught_too_much(failed),
        ],
    )


def test_task_4_names_the_field_that_is_wrong(world):
    failed = _refused(world, "42", "INVALID_ARGUMENT")
    assert failed.fields == ["job_id"], diagnose(
        "the fields that the answer names in its google.rpc.BadRequest",
        failed.fields,
        ["job_id"],
        [(not failed.fields, "none: app.errors.invalid(context, field, why) adds the detail")],
    )


def test_task_4_agrees_with_the_reference_on_every_input(judge):
    judge.task(4)


def _caught_too_much(failed):
    return (
        failed.code is grpc.StatusCode.UNAVAILABLE,
        "the database is there; it is an except that is too wide which catches your own refusal",
    )


def _refused(world, job_id, wanted):
    """How the call was refused. What get_job raised by mistake is explained."""
    asked = f"GetJob, asked for {str(job_id)!r}"
    try:
        answer = world.call("GetJob", job_id=job_id)
    except RpcFailed as failed:
        return failed
    except ValueError as error:
        _explain(
            error,
            f"{asked}: the ValueError went through ({error}). The client sees that the server has a fault, and the "
            f"fault is the client's: answer {wanted}",
        )
    except psycopg.DataError as error:
        _explain(
            error,
            f"{asked}: the text went to the database, which refused it ({str(error).splitlines()[0]}). Make a UUID of "
            f"it first, and answer {wanted} if it is none",
        )
    except aio.UsageError as error:
        _explain(
            error,
            f"{asked}: abort raises, to end the call; an except that is too wide caught that, and aborted the call "
            f"once more ({error})",
        )
    except AttributeError as error:
        if "NoneType" not in str(error):
            raise
        _explain(
            error,
            f"{asked}: get_job_row answered None, and get_job went on with it ({error}): answer {wanted}",
        )
    pytest.fail(
        f"{asked}: the call ended with OK and {'an empty JobStatus' if answer == pb.JobStatus() else 'an answer'}, and "
        f"the client believes it: end it with {wanted}"
    )


# -- task 5, stretch


@pytest.mark.can_go_away("database")
def test_task_5_answers_unavailable_when_the_database_is_away(world):
    failed = _without_database(world)
    assert failed.code is grpc.StatusCode.UNAVAILABLE, diagnose(
        "GetJob while the database is away",
        failed.code.name,
        "UNAVAILABLE",
        [
            (
                failed.code is grpc.StatusCode.NOT_FOUND,
                "nobody looked, so nobody knows; a client would believe that the job is gone",
            ),
            (
                failed.code is grpc.StatusCode.INVALID_ARGUMENT,
                "nothing is wrong with the request; what does your except catch?",
            ),
            (
                failed.code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN),
                "that says «a fault in the server»; UNAVAILABLE says «call again», and clients do",
            ),
        ],
    )


@pytest.mark.can_go_away("database")
def test_task_5_shows_nobody_where_the_database_is(world, caplog):
    with caplog.at_level(logging.DEBUG):
        failed = _without_database(world)
    url = psycopg.conninfo.conninfo_to_dict(world.settings.database_conninfo())
    port = str(world.proxies["database"].port)
    secrets = ["postgresql://", "SELECT", port, str(url["password"]), str(url["dbname"])]
    for secret in secrets:
        assert secret not in failed.details, (
            f"the answer shows the client something of the inside: {_starred(failed.details, secrets)!r}"
        )
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert str(url["password"]) not in logged, "the log shows the password of the database"


def test_task_5_still_answers_not_found(world):
    _refused(world, ID, "NOT_FOUND")
    failed = _refused(
        world, ID, "NOT_FOUND"
    )  # by now the first call has ended, whatever it did after its answer
    assert failed.code is grpc.StatusCode.NOT_FOUND, diagnose(
        "GetJob, asked for an id that nobody has",
        failed.code.name,
        "NOT_FOUND",
        [_caught_too_much(failed)],
    )


def test_task_5_calls_nothing_unavailable_but_a_database_that_is_away(world):
    job = world.insert("queued")
    _get(world, job.task_id)
    world.sql("ALTER TABLE tasks RENAME TO renamed")
    try:
        world.call("GetJob", job_id=job.task_id)
    except psycopg.ProgrammingError:
        return  # it went through: the server logs it and answers INTERNAL
    except RpcFailed as failed:
        if failed.code is not grpc.StatusCode.UNAVAILABLE:
            return
        pytest.fail(
            "the statement is wrong (its table was renamed), and GetJob says UNAVAILABLE: clients would call again for "
            "ever, and no log would say why. Only psycopg.OperationalError means that the database is out of reach"
        )
    finally:
        world.sql("ALTER TABLE renamed RENAME TO tasks")
    pytest.fail("the statement failed (its table was renamed), and GetJob answered with OK")


def test_task_5_agrees_with_the_reference_on_every_input(judge):
    judge.task(5)


def _without_database(world):
    job = world.insert("queued")
    world.serve()
    world.lose_database(wait_seconds=0.77)  # nobody's own deadline ends with it by chance
    try:
        answer = world.call("GetJob", job_id=job.task_id)
    except RpcFailed as failed:
        return failed
    except (NotImplementedError, AssertionError):
        raise
    except Exception as error:
        _explain(
            error,
            f"the database is away, and get_job raised {type(error).__module__}.{_text(error)}. To the client that "
            "says «a fault in the server»; psycopg.OperationalError, let through, says UNAVAILABLE",
        )
    pytest.fail(f"the database is away, and GetJob answered with OK and {str(answer)[:80]!r}")


def _starred(text, secrets):
    for secret in secrets:
        text = text.replace(secret, "*****")
    return text


# -- words


def _explain(error, words) -> NoReturn:
    """Fail with these words, and keep the way that the error went: the report shows the learner's own line."""
    raise AssertionError(words).with_traceback(error.__traceback__) from None


def _text(error):
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _state_name(number):
    return pb.JobState.Name(number) if number in pb.JobState.values() else str(number)


def _priority_name(number):
    return pb.Priority.Name(number) if number in pb.Priority.values() else str(number)
