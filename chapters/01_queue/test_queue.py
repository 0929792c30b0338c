"""Chapter 01: what the queue and SubmitJob must do. Run it with `pytest chapters/01_queue`."""

import json
import logging
import socket
import threading
from contextlib import suppress
from uuid import UUID

import pytest
from pydantic import SecretStr
from redis.exceptions import AuthenticationError, RedisError
from scheduler import redis_clients
from scheduler.entry import Entry
from scheduler.errors import InvalidRequest
from scheduler.jobs import NewJob, Priority

from workbook.diagnose import diagnose
from workbook.judges.fake_redis import FakeRedis
from workbook.judges.leaks import texts_of
from workbook.loop import Hang
from workbook.patience import comes, stretched
from workbook.redis_world import is_queue

TASK_ID = UUID("11111111-2222-3333-4444-555555555555")
JOB = Entry(TASK_ID, "noop", Priority.HIGH)
BYTES = b'{"task_id":"11111111-2222-3333-4444-555555555555","type":"noop","priority":"high"}'


# -- task 1


@pytest.mark.parametrize("priority", list(Priority))
def test_task_1_names_the_queue_of_each_priority(code, priority):
    got, wanted = code.queue_name(priority), "q:" + priority
    assert got == wanted, diagnose(
        f'queue_name("{priority}")',
        got,
        wanted,
        [
            (got == priority, "that is the priority; the queue's name begins with q:"),
            (
                str(got).lower() == wanted and got != wanted,
                "Redis tells upper case from lower; the name is lower case",
            ),
            (got is None, "it returned nothing; is there a return?"),
        ],
    )


def test_task_1_refuses_what_is_no_priority(code):
    try:
        got = code.queue_name("urgent")
    except ValueError:
        return
    except NotImplementedError:
        raise
    except Exception as error:
        pytest.fail(
            f'queue_name("urgent") raised {type(error).__name__}({error}): raise a ValueError, which says what is wrong'
        )
    pytest.fail(f'queue_name("urgent") answered {got!r}; nobody reads such a queue, so raise a ValueError')


def test_task_1_agrees_with_the_reference_on_every_input(judge):
    judge.task(1)


# -- task 2


def test_task_2_encodes_the_exact_bytes(code):
    try:
        got = code.encode_entry(JOB)
    except TypeError as error:
        why = (
            "JSON knows no UUID: make it a str first"
            if "UUID" in str(error)
            else "The job here is an Entry; all that encode_entry may ask of a job is its task_id, type and priority"
        )
        raise AssertionError(f"encode_entry(job) raised a TypeError: {error}. {why}").with_traceback(
            error.__traceback__
        ) from None
    assert got == BYTES, diagnose("encode_entry(job)", got, BYTES, _what_is_wrong_with_bytes(got))


def _what_is_wrong_with_bytes(got):
    try:
        fields = json.loads(got)
    except (TypeError, ValueError):
        return [(got is None, "it returned nothing; is there a return?")]
    wanted = json.loads(BYTES)
    if not isinstance(fields, dict):
        return [(True, f"that is JSON, though no object with the keys {', '.join(wanted)}")]
    return [
        (
            isinstance(got, str) and got == BYTES.decode(),
            "the right text, but as str; .encode() makes bytes of it",
        ),
        (
            fields == wanted and " " in str(got),
            "the same JSON in other bytes: it has spaces",
        ),
        (
            isinstance(got, bytes) and list(fields) != list(wanted) and fields == wanted,
            "the same JSON in other bytes: the keys have another order",
        ),
        (
            fields.get("task_id") != wanted["task_id"],
            "task_id is not the id's usual text, as str(job.task_id) gives it",
        ),
        (fields.get("priority") != wanted["priority"], "priority is not the word itself, as in high"),
    ]


def test_task_2_encodes_the_same_job_into_the_same_bytes(code):
    first = code.encode_entry(JOB)
    again = code.encode_entry(Entry(UUID(str(TASK_ID).upper()), "noop", Priority("high")))
    assert first == again, diagnose("two encodings of one job", again, first)


def test_task_2_agrees_with_the_reference_on_every_input(judge):
    judge.task(2)


# -- task 3


def test_task_3_pushes_the_entry_to_the_queue_of_its_priority(code, redis_world):
    got, keys = redis_world.run_and_look(
        redis_world.queue().push, JOB, lambda: (redis_world.entries("q:high"), redis_world.keys())
    )
    assert got == [BYTES], diagnose(
        "q:high after one push",
        got,
        [BYTES],
        [
            (
                not keys and comes(redis_world.keys),
                "there is nothing in Redis when push returns, and something a little later: push has to wait for "
                "Redis, or its caller never hears that it failed; await the command itself",
            ),
            (
                not keys,
                "there is nothing in Redis after it: which command adds to a list that is not there yet?",
            ),
            (not got, f"the entry went to {', '.join(keys)}"),
        ],
    )


def test_task_3_pushes_on_the_left(code, redis_world):
    queue = redis_world.queue()
    jobs = [Entry(UUID(int=number), "noop", Priority.LOW) for number in range(3)]
    for job in jobs:
        redis_world.run(queue.push, job)
    got = [json.loads(entry)["task_id"] for entry in redis_world.entries("q:low")]
    wanted = [str(job.task_id) for job in reversed(jobs)]
    assert got == wanted, diagnose(
        "q:low from left to right after three pushes",
        got,
        wanted,
        [
            (
                got == wanted[::-1],
                "the newest is on the right; workers take from the right, so it would come out first",
            )
        ],
    )


def test_task_3_lets_the_error_of_redis_through(code, redis_world):
    queue = redis_world.queue()
    redis_world.redis.set("q:high", "not a list")
    try:
        redis_world.run(queue.push, JOB)
    except RedisError:
        return
    pytest.fail("Redis refused the push (WRONGTYPE), and push said nothing; its caller must hear of it")


def test_task_3_agrees_with_the_reference_on_every_input(judge):
    judge.task(3)


# -- task 4


def test_task_4_connects_to_the_redis_of_the_settings(code, redis_world):
    queue = _connected(code, redis_world, redis_world.settings)
    redis_world.run(queue.push, JOB)
    got = redis_world.entries("q:high")
    assert got == [BYTES], diagnose(
        f"q:high in database {redis_world.settings.redis_db} of the Redis of the settings",
        got,
        [BYTES],
        [(got == [], "the entry is not there; settings.redis_db says which of Redis' databases is meant")],
    )


def test_task_4_fails_at_once_when_nobody_answers(code, redis_world):
    settings = redis_world.settings.model_copy(update={"redis_port": _closed_port()})
    try:
        redis_world.run(code.connect, settings)
    except RedisError:
        return
    pytest.fail(
        "nobody listens on that port, and connect did not raise: making a client does not connect it; ping it"
    )


def test_task_4_leaves_nothing_open_when_redis_refuses(code, redis_world):
    with _Refusing(redis_world.settings) as refusing:
        settings = redis_world.settings.model_copy(update={"redis_port": refusing.port})
        try:
            redis_world.run(code.connect, settings)
        except RedisError:
            pass
        else:
            pytest.fail(
                "this Redis takes connections and refuses every command, and connect did not raise: a port that is "
                "open proves little; ask Redis something, with the client that you return"
            )
        assert refusing.all_closed.wait(stretched(3)), (
            "connect failed and left its connection open: this Redis still sees it. Close the client, then raise; and "
            "if the client was given a pool (connection_pool=…), close that too, for the client's aclose() does not"
        )


def test_task_4_gives_up_when_redis_says_nothing(code, redis_world, monkeypatch):
    monkeypatch.setattr(redis_clients, "COMMAND_SECONDS", 0.5)  # here, nothing comes of more patience
    with FakeRedis(silent=True) as silent:
        settings = redis_world.settings.model_copy(
            update={"redis_host": "127.0.0.1", "redis_port": silent.port}
        )
        try:
            turns, raised = redis_world.turns_while(code.connect, settings)
        except Hang as error:
            advice = "" if "stands still" in str(error) else ". Has its client the timeouts of quick()?"
            if silent.askers > 1:
                advice = f". It has come {silent.askers} times by now: {ONE_TRY}"
            pytest.fail(f"a Redis takes the connection and never answers, and {error}{advice}")
    if isinstance(raised, NotImplementedError):
        raise raised
    assert isinstance(raised, RedisError), diagnose(
        "connect, to a Redis that takes the connection and never answers",
        raised or "no error",
        "an error of redis-py",
    )
    assert turns, (
        "while connect waited for a Redis that says nothing, nothing else in the event loop went on: was the question "
        "asked with redis.Redis, which blocks, in place of redis.asyncio's?"
    )
    assert silent.askers <= 1, (
        f"a Redis takes the connection and never answers, and connect came {silent.askers} times: {ONE_TRY}"
    )


ONE_TRY = (
    "one try is enough, for whoever calls connect, as a SubmitJob may, waits, and decides what comes next"
)


def test_task_4_agrees_with_the_reference_on_every_input(judge):
    judge.task(4)


def _connected(code, redis_world, settings):
    try:
        queue = redis_world.run(code.connect, settings)
    except AuthenticationError as error:
        raise AssertionError(
            f"Redis refused what connect gave as its password; settings.redis_password has the right one, and "
            f"`.get_secret_value()` of that is the text (Redis said: {str(error)[:60]}…)"
        ).with_traceback(error.__traceback__) from None
    assert is_queue(queue, code), diagnose(
        "connect(settings)",
        queue,
        "a JobQueue",
        [
            (hasattr(queue, "ping"), "it returned the client; wrap it in a JobQueue"),
            (queue is None, "it returned nothing"),
        ],
    )
    redis_world.closing(queue)
    assert type(queue.redis).__module__.startswith("redis.asyncio"), (
        f"connect used {type(queue.redis).__module__}.{type(queue.redis).__name__}: that client blocks the event loop; "
        "use redis.asyncio's"
    )
    return queue


def _closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class _Refusing:
    """A Redis that greets and then refuses every command. It knows when its client has hung up."""

    GREETING = (b"HELLO", b"CLIENT", b"AUTH", b"SELECT")

    def __init__(self, settings):
        self._settings = settings

    def __enter__(self):
        self.all_closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _serve(self):
        client, _ = self._listener.accept()
        with (
            client,
            socket.create_connection((self._settings.redis_host, self._settings.redis_port)) as redis,
        ):
            threading.Thread(target=self._answer, args=[redis, client], daemon=True).start()
            while asked := client.recv(65_536):
                if any(word in asked.upper() for word in self.GREETING):
                    redis.sendall(asked)
                else:
                    client.sendall(b"-ERR this server refuses\r\n")
        self.all_closed.set()

    def _answer(self, redis, client):
        with suppress(OSError):
            while answer := redis.recv(65_536):
                client.sendall(answer)


# -- task 5


def test_task_5_inserts_the_job_and_returns_its_id(code, world):
    new = NewJob("noop", Priority.HIGH, payload_json='{"a": 1}')
    got = world.run(code.submit_job, new)
    assert got == new.task_id, diagnose(
        "submit_job",
        got,
        new.task_id,
        [
            (got == str(new.task_id), "the right id as a str; return the UUID"),
            (isinstance(got, tuple), "insert_job answers (job, created); take it apart"),
            (got is None, "it returned nothing"),
        ],
    )
    row = world.row(new.task_id)
    assert row is not None, "submit_job returned, and there is no row; is insert_job awaited?"
    assert (row.type, row.status, row.priority) == ("noop", "queued", "high")


def test_task_5_pushes_the_entry(code, world):
    new = NewJob("noop", Priority.HIGH)

    def entries():
        return world.redis.lrange("q:high", 0, -1)

    async def submit_and_look(app):
        answer = code.submit_job(app, new)
        _ = await answer if hasattr(answer, "__await__") else answer
        return entries()

    got = world.run(submit_and_look)
    assert len(got) == 1, diagnose(
        "entries in q:high after one submit",
        len(got),
        1,
        [
            (
                not got and comes(entries),
                "none when submit_job returns, and one a little later: await the push, or nobody knows in which order "
                "jobs get their entries, and whether they do",
            ),
            (not got, "none; is app.queue.push called, and awaited?"),
        ],
    )
    assert str(new.task_id).encode() in got[0]


def test_task_5_answers_over_grpc(world):
    answer = world.call("SubmitJob", job={"type": "noop", "priority": 4})
    assert world.row(UUID(answer.job_id)) is not None
    assert world.redis.llen("q:low") == 1


def test_task_5_pushes_nothing_that_the_database_refused(code, world):
    too_large = NewJob("noop", payload_json='{"a": 1e999999999}')
    with suppress(InvalidRequest):
        got = world.run(code.submit_job, too_large)
        pytest.fail(
            f"the database refused the job (InvalidRequest), and submit_job answered {got!r}: let that through"
        )
    assert world.redis.llen("q:default") == 0, (
        "the database refused the job, and there is an entry of it in q:default: insert first, push afterwards"
    )


@pytest.mark.can_go_away("redis")
def test_task_5_accepts_the_job_when_redis_is_away(code, world):
    new = NewJob("noop")
    got = _submit_without_redis(code, world, new)
    assert got == new.task_id, diagnose("submit_job while Redis is away", got, new.task_id)
    row = world.row(new.task_id)
    assert row is not None, "the job was accepted, and is not in the database"
    assert row.status == "queued"


@pytest.mark.can_go_away("redis")
def test_task_5_says_in_the_log_that_a_push_failed(code, world, caplog):
    world.run(code.submit_job, NewJob("noop"))  # what is kept of an earlier outage is over
    warned = []
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.DEBUG):
            _submit_without_redis(code, world, NewJob("noop"))
        warned.append(any(record.levelno >= logging.WARNING for record in caplog.records))
    assert any(warned), "a push failed, and nobody will ever know: log a warning"
    assert all(warned), (
        "two pushes failed, one after the other, and the log warns of one alone: each job that has no entry needs its "
        "line"
    )


def test_task_5_hides_no_mistake_but_the_failure_of_redis(code, world):
    met = []

    def mistake():
        met.append("a mistake")
        raise KeyError("a mistake in push")

    async def push_with_a_bug(*_):
        mistake()

    world.app.queue.push = world.app.queue.push_many = push_with_a_bug
    try:
        with world.before_redis(mistake):
            world.run(code.submit_job, NewJob("noop"))
    except KeyError:
        return
    assert met, "submit_job asked nothing of app.queue, and so it has pushed nothing"
    pytest.fail(
        "push has a mistake (KeyError), and submit_job hid it: catch redis-py's RedisError and nothing wider"
    )


@pytest.mark.can_go_away("redis")
def test_task_5_agrees_with_the_reference_on_every_input(judge):
    judge.task(5)


def _submit_without_redis(code, world, new):
    _ = world.app  # connects while Redis is there
    world.proxies["redis"].cut()
    try:
        return world.run(code.submit_job, new)
    except RedisError as error:
        pytest.fail(
            f"Redis is away, and submit_job raised {type(error).__module__}.{type(error).__name__}. The job is safe in "
            "the database, so answer as usual. (redis-py's ConnectionError is not Python's own ConnectionError.)"
        )
    except (NotImplementedError, Hang, AssertionError):
        raise
    except Exception as error:
        raise AssertionError(
            f"Redis is away, and submit_job raised {type(error).__name__}: {error}. The job is safe in the database, "
            "so log a warning, and answer as usual"
        ).with_traceback(error.__traceback__) from None


# -- task 6, stretch


def test_task_6_answers_a_repeat_with_the_first_id(code, world):
    first = world.run(code.submit_job, NewJob("noop", idempotency_key="once"))
    again = world.run(code.submit_job, NewJob("noop", idempotency_key="once"))
    assert again == first, diagnose(
        "the same key again",
        again,
        first,
        [
            (
                again is not None,
                "a new id; insert_job answers with the job that is the same, so return that one's id",
            )
        ],
    )
    assert len(world.sql("SELECT 1 FROM tasks")) == 1


def test_task_6_pushes_a_repeat_while_the_job_is_queued(code, world):
    new = NewJob("noop", Priority.LOW, idempotency_key="once")
    world.run(code.submit_job, new)
    world.redis.delete("q:low")
    world.run(code.submit_job, NewJob("noop", Priority.LOW, idempotency_key="once"))
    assert world.redis.llen("q:low") == 1, (
        "the first push was lost, the job is still queued, and the repeat pushed nothing: whoever repeats wants it run"
    )


@pytest.mark.parametrize("status", ["running", "succeeded", "cancelled", "retry", "deadletter"])
def test_task_6_pushes_no_repeat_of_a_job_that_is_not_queued(code, world, status):
    job = world.insert(status, idempotency_key="once")
    got = world.run(code.submit_job, NewJob("noop", idempotency_key="once"))
    assert got == job.task_id
    assert world.redis.llen("q:default") == 0, (
        f"the job is {status}, and the repeat pushed it: look at job.status first"
    )


@pytest.mark.processes(2)
def test_task_6_agrees_with_the_reference_on_every_input(judge):
    judge.task(6)


# -- task 7, stretch

SECRET = "correct horse battery"


def test_task_7_names_no_password_when_it_can_not_connect(code, redis_world, caplog):
    changes = {"redis_port": _closed_port(), "redis_password": SecretStr(SECRET)}
    settings = redis_world.settings.model_copy(update=changes)
    with caplog.at_level(logging.DEBUG):
        try:
            redis_world.run(code.connect, settings)
        except RedisError as error:
            raised = error
        else:
            pytest.fail("nobody listens on that port, and connect did not raise: ping it")
    _no_secret("\n".join(texts_of(raised)), "the error of connect")
    _no_secret(_log_text(caplog), "the log of connect")


@pytest.mark.can_go_away("redis")
def test_task_7_names_no_password_when_a_push_fails(code, world, caplog):
    password = world.settings.redis_password.get_secret_value()
    with caplog.at_level(logging.DEBUG):
        _submit_without_redis(code, world, NewJob("noop"))
    _no_secret(_log_text(caplog), "the log of submit_job", password)


@pytest.mark.can_go_away("redis")
def test_task_7_logs_the_job_and_not_the_whole_traceback(code, world, caplog):
    new = NewJob("noop")
    with caplog.at_level(logging.WARNING):
        _submit_without_redis(code, world, new)
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    said = " ".join(f"{record.getMessage()} {record.__dict__.get('job_id', '')}" for record in records)
    assert str(new.task_id) in said, (
        "the warning does not say which job: name its id, in the text or as extra={'job_id': …}"
    )
    assert not any(record.exc_info for record in records), (
        "the warning carries a traceback: its lines can show an address with a password in it. Redis being away is no "
        "riddle: the error's type is enough"
    )


def test_task_7_agrees_with_the_reference_on_every_input(judge):
    judge.task(7)


def _log_text(caplog):
    formatter = logging.Formatter("%(message)s %(job_id)s", defaults={"job_id": ""})
    return "\n".join(formatter.format(record) for record in caplog.records)


def _no_secret(text, where, secret=SECRET):
    line = next((line for line in text.splitlines() if secret in line), "")
    assert not line, f"{where} shows the password: {line.replace(secret, '*****')[:120]}"
