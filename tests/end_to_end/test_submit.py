"""SubmitJob and SubmitJobs over a real connection: what is accepted, what is refused, and what a repeat answers."""

import asyncio
import json
from uuid import UUID, uuid4

import grpc
import pytest
from scheduler.entry import decode_entry
from scheduler.job_queue import queue_name
from scheduler.jobs import Priority, Status
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker.one_job import Outcome

from tests.end_to_end.client import (
    claim,
    connected,
    count,
    finish,
    invalid,
    metric,
    on_shared,
    refusal,
    refused,
    row,
    serving,
)
from tests.patience import SECONDS, within
from tests.proxies import proxied_database, proxied_redis

MIB = 1024 * 1024


async def submit(stub, **fields):
    fields.setdefault("type", "noop")
    answer = await stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(**fields)), timeout=SECONDS)
    return answer.job_id


async def submit_all(stub, *jobs):
    answer = await stub.SubmitJobs(pb.SubmitJobsRequest(jobs=jobs), timeout=SECONDS)
    return list(answer.job_ids)


async def entries(app, priority=Priority.DEFAULT):
    """The ids in a queue, oldest first."""
    raw = await app.queue.redis.lrange(queue_name(priority), 0, -1)
    return [str(decode_entry(one).task_id) for one in reversed(raw)]


async def test_a_job_is_stored_as_it_was_handed_in_and_queued(api, stub):
    payload = {"to": "ä@example.com", "n": [1, 2.5, None, True]}
    job_id = await submit(
        stub,
        type="send_mail",
        priority=pb.PRIORITY_HIGH,
        payload_json=json.dumps(payload),
        idempotency_key="mail-1",
        max_attempts=7,
    )

    job = await row(api.app, job_id)
    assert (job.type, job.priority, job.status) == ("send_mail", Priority.HIGH, Status.QUEUED)
    assert (job.payload, job.idempotency_key, job.max_attempts) == (payload, "mail-1", 7)
    assert (job.attempts, job.version, job.last_error, job.worker) == (0, 1, None, None)
    assert await entries(api.app, Priority.HIGH) == [job_id]


async def test_an_entry_has_exactly_the_bytes_of_the_contract(api, stub):
    job_id = await submit(stub, type="noop", priority=pb.PRIORITY_LOW)
    expected = f'{{"task_id":"{job_id}","type":"noop","priority":"low"}}'.encode()
    assert await api.app.queue.redis.lrange("q:low", 0, -1) == [expected]


async def test_what_is_left_out_has_its_default(api, stub):
    job = await row(api.app, await submit(stub))
    assert (job.priority, job.payload, job.max_attempts, job.idempotency_key) == (
        Priority.DEFAULT,
        {},
        3,
        None,
    )


@pytest.mark.parametrize(
    ("priority", "queue"),
    [
        (pb.PRIORITY_CRITICAL, "q:critical"),
        (pb.PRIORITY_HIGH, "q:high"),
        (pb.PRIORITY_DEFAULT, "q:default"),
        (pb.PRIORITY_LOW, "q:low"),
        (pb.PRIORITY_UNSPECIFIED, "q:default"),
    ],
)
async def test_each_priority_has_its_queue(api, stub, priority, queue):
    await submit(stub, priority=priority)
    lengths = {name: await api.app.queue.redis.llen(name) for name in map(queue_name, Priority)}
    assert lengths == {name: int(name == queue) for name in lengths}


async def test_the_oldest_job_is_at_the_right_end_of_its_queue(api, stub):
    job_ids = [await submit(stub) for _ in range(5)]
    assert await entries(api.app) == job_ids


async def test_an_id_of_the_clients_is_kept_and_answered_in_lower_case(api, stub):
    mine = str(uuid4())
    assert await submit(stub, job_id=mine.upper()) == mine
    assert (await row(api.app, mine)).task_id == UUID(mine)


# --- a repeat


async def test_a_repeat_with_the_same_id_answers_that_id_and_changes_nothing(api, stub):
    mine = await submit(stub, type="noop", payload_json='{"n": 1}')
    before = await row(api.app, mine)

    again = await submit(
        stub,
        job_id=mine.upper(),
        type="sleep",
        payload_json='{"n": 2}',
        priority=pb.PRIORITY_LOW,
        max_attempts=9,
    )

    assert again == mine
    after = await row(api.app, mine)
    assert (after.type, after.payload, after.priority, after.max_attempts, after.version) == (
        before.type,
        before.payload,
        before.priority,
        before.max_attempts,
        before.version,
    )
    assert await count(api.app) == 1


@pytest.mark.needs_task("01_queue", 6)
async def test_a_repeat_with_the_same_key_answers_the_first_id(api, stub):
    first = await submit(stub, idempotency_key="k", payload_json='{"n": 1}')
    again = await submit(stub, idempotency_key="k", type="sleep", payload_json='{"n": 2}')
    assert again == first
    assert await count(api.app) == 1
    assert (await row(api.app, first)).payload == {"n": 1}


@pytest.mark.needs_task("01_queue", 6)
async def test_a_new_id_with_a_known_key_answers_the_keys_job(api, stub):
    first = await submit(stub, idempotency_key="k")
    assert await submit(stub, idempotency_key="k", job_id=str(uuid4())) == first
    assert await count(api.app) == 1


async def test_a_known_id_wins_over_a_known_key(api, stub):
    by_id = await submit(stub)
    by_key = await submit(stub, idempotency_key="k")
    assert await submit(stub, job_id=by_id, idempotency_key="k") == by_id
    assert by_key != by_id
    assert await count(api.app) == 2


async def test_a_known_id_with_a_new_key_answers_the_id_and_leaves_the_key_free(api, stub):
    first = await submit(stub)
    assert await submit(stub, job_id=first, idempotency_key="new") == first
    second = await submit(stub, idempotency_key="new")
    assert second != first


async def test_an_empty_key_is_no_key(api, stub):
    assert await submit(stub, idempotency_key="") != await submit(stub, idempotency_key="")
    assert (await api.app.db.fetch_one("SELECT count(idempotency_key) AS n FROM tasks"))["n"] == 0


@pytest.mark.needs_task("01_queue", 6)
@pytest.mark.parametrize("shared", ["id", "key", "both"])
async def test_fifty_clients_at_once_create_one_job(api, shared):
    fields = {}
    if shared in ("id", "both"):
        fields["job_id"] = str(uuid4())
    if shared in ("key", "both"):
        fields["idempotency_key"] = "the same"

    async def one_client(number):
        async with connected(api) as own:
            return await submit(own, payload_json=json.dumps({"client": number}), **fields)

    answers = await asyncio.gather(*map(one_client, range(50)))

    assert len(set(answers)) == 1
    assert await count(api.app) == 1
    assert metric(api.app, "jobs_submitted", priority="default", type="noop") == 1
    assert set(await entries(api.app)) == set(answers)


@pytest.mark.needs_task("01_queue", 6)
async def test_two_servers_and_many_clients_agree_on_each_keys_job(settings):
    async with serving(settings) as (first, one), serving(settings) as (_, two):
        answers = await asyncio.gather(
            *[submit(stub, idempotency_key=f"key {n % 20}") for n in range(100) for stub in (one, two)]
        )
        assert len(set(answers)) == 20
        assert await count(first.app) == 20
        by_key = [set(answers[2 * n :: 40]) | set(answers[2 * n + 1 :: 40]) for n in range(20)]
        assert all(len(ids) == 1 for ids in by_key)


async def test_a_repeat_pushes_again_while_the_job_is_queued(api, stub):
    job_id = await submit(stub)
    await api.app.queue.redis.flushdb()  # the push was lost
    await submit(stub, job_id=job_id)
    assert await entries(api.app) == [job_id]


@pytest.mark.needs_task("01_queue", 6)
@pytest.mark.parametrize("status", [Status.RUNNING, Status.SUCCEEDED, Status.RETRY, Status.CANCELLED])
async def test_a_repeat_does_not_push_a_job_that_is_no_longer_queued(api, stub, status):
    job_id = await submit(stub, idempotency_key="k")
    if status is Status.CANCELLED:
        await api.app.parts.cancel_in_database(api.app, UUID(job_id))
    else:
        [job] = await claim(api.app, UUID(job_id))
        if status is not Status.RUNNING:
            await finish(api.app, job, Outcome(status, None, delay=60))
    await api.app.queue.redis.flushdb()

    assert await submit(stub, idempotency_key="k") == job_id

    assert (await row(api.app, job_id)).status is status
    assert await entries(api.app) == []


@pytest.mark.of_reference
async def test_only_created_jobs_are_counted(api, stub):
    await submit(stub, idempotency_key="k")
    await submit(stub, idempotency_key="k")
    await submit_all(
        stub, pb.Job(type="noop", idempotency_key="k"), pb.Job(type="sleep", priority=pb.PRIORITY_LOW)
    )
    await submit(stub, type="nobody knows me")
    assert metric(api.app, "jobs_submitted", priority="default", type="noop") == 1
    assert metric(api.app, "jobs_submitted", priority="low", type="sleep") == 1
    assert metric(api.app, "jobs_submitted", priority="default", type="unknown") == 1


# --- what is refused


DEEP = "[" * 100_000 + "]" * 100_000
BAD = {
    "no type": ({"type": ""}, ["type"]),
    "a type too long": ({"type": "x" * 201}, ["type"]),
    "a newline in the type": ({"type": "a\nb"}, ["type"]),
    "a NUL in the type": ({"type": "a\0b"}, ["type"]),
    "a C1 control in the type": ({"type": "a\x85b"}, ["type"]),
    "an unknown priority": ({"priority": 5}, ["priority"]),
    "a negative priority": ({"priority": -1}, ["priority"]),
    "an id that is no UUID": ({"job_id": "42"}, ["job_id"]),
    "an id without hyphens": ({"job_id": uuid4().hex}, ["job_id"]),
    "an id in braces": ({"job_id": f"{{{uuid4()}}}"}, ["job_id"]),
    "an id with a newline": ({"job_id": f"{uuid4()}\n"}, ["job_id"]),
    "an id with other digits": ({"job_id": "١23e4567-e89b-12d3-a456-426614174000"}, ["job_id"]),
    "a key too long": ({"idempotency_key": "k" * 256}, ["idempotency_key"]),
    "a NUL in the key": ({"idempotency_key": "\0"}, ["idempotency_key"]),
    "negative attempts": ({"max_attempts": -1}, ["max_attempts"]),
    "too many attempts": ({"max_attempts": 101}, ["max_attempts"]),
    "the most attempts that int32 has": ({"max_attempts": 2**31 - 1}, ["max_attempts"]),
    "a payload that is no JSON": ({"payload_json": "{"}, ["payload_json"]),
    "a payload of blanks": ({"payload_json": "  "}, ["payload_json"]),
    "two JSON values": ({"payload_json": "1 2"}, ["payload_json"]),
    "single quotes": ({"payload_json": "{'a': 1}"}, ["payload_json"]),
    "a trailing comma": ({"payload_json": "[1,]"}, ["payload_json"]),
    "NaN": ({"payload_json": '{"n": NaN}'}, ["payload_json"]),
    "Infinity": ({"payload_json": "[Infinity]"}, ["payload_json"]),
    "-Infinity": ({"payload_json": "-Infinity"}, ["payload_json"]),
    "an escaped NUL": ({"payload_json": r'"a\u0000"'}, ["payload_json"]),
    "an escaped NUL in a key": ({"payload_json": r'{"\u0000": 1}'}, ["payload_json"]),
    "a NUL": ({"payload_json": '"\0"'}, ["payload_json"]),
    "half a pair, high": ({"payload_json": r'"\ud83d"'}, ["payload_json"]),
    "half a pair, low": ({"payload_json": r'"\ude00"'}, ["payload_json"]),
    "a pair the wrong way round": ({"payload_json": r'"\ude00\ud83d"'}, ["payload_json"]),
    "a number beyond numeric": ({"payload_json": "1e999999"}, ["payload_json"]),
    "a number of too many digits": ({"payload_json": "1" * 200_000}, ["payload_json"]),
    "nested beyond reason": ({"payload_json": DEEP}, ["payload_json"]),
    "a payload too large": ({"payload_json": '"' + "x" * (MIB - 1) + '"'}, ["payload_json"]),
    "a payload too large in bytes only": ({"payload_json": '"' + "ä" * (MIB // 2) + '"'}, ["payload_json"]),
    "a byte order mark": ({"payload_json": "\ufeff{}"}, ["payload_json"]),
    "everything": (
        {
            "type": "",
            "priority": 9,
            "payload_json": "x",
            "job_id": "x",
            "idempotency_key": "\n",
            "max_attempts": -3,
        },
        ["type", "priority", "payload_json", "job_id", "idempotency_key", "max_attempts"],
    ),
}


@on_shared
@pytest.mark.parametrize(("fields", "wrong"), BAD.values(), ids=BAD)
async def test_a_bad_job_is_refused_by_its_field_and_not_inserted(shared, fields, wrong):
    api, stub = shared
    before = await count(api.app), await entries(api.app)
    job = pb.Job(**{"type": "noop", **fields})
    assert set(await invalid(stub.SubmitJob(pb.SubmitJobRequest(job=job)))) == {
        f"job.{name}" for name in wrong
    }
    good = pb.Job(type="noop")
    named = await invalid(stub.SubmitJobs(pb.SubmitJobsRequest(jobs=[good, good, good, job, good])))
    assert set(named) == {f"jobs[3].{name}" for name in wrong}
    assert (await count(api.app), await entries(api.app)) == before


@on_shared
async def test_a_request_without_a_job_is_refused_by_the_type_it_lacks(shared):
    _, stub = shared
    assert await invalid(stub.SubmitJob(pb.SubmitJobRequest())) == ["job.type"]


GOOD = {
    "the longest type": {"type": "ü" * 200},
    "the longest key": {"idempotency_key": "😀" * 255},
    "one attempt": {"max_attempts": 1},
    "a hundred attempts": {"max_attempts": 100},
    "a string": {"payload_json": '"text"'},
    "null": {"payload_json": "null"},
    "a whole emoji in two escapes": {"payload_json": r'"\ud83d\ude00"'},
    "a backslash before u0000": {"payload_json": r'"\\u0000"'},
    "a backslash before ud83d": {"payload_json": r'"\\ud83d"'},
    "exactly 1 MiB": {"payload_json": '"' + "x" * (MIB - 2) + '"'},
    "a number of 5,000 digits": {"payload_json": "9" * 5_000},
    "1e5000": {"payload_json": '{"n": 1e5000}'},
    "a key twice": {"payload_json": '{"a": 1, "a": 2}'},
    "a hundred deep": {"payload_json": "[" * 100 + "]" * 100},
    "SQL": {"type": "'; DROP TABLE tasks; --", "payload_json": '"%s %(a)s $1 \'"'},
    "an id of zeros": {"job_id": "00000000-0000-0000-0000-000000000000"},
}


@on_shared
@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD)
async def test_an_unusual_but_right_job_is_accepted_alone_and_among_others(shared, fields):
    api, stub = shared
    job_id = await submit(stub, **fields)
    job = await row(api.app, job_id)
    assert job.type == fields.get("type", "noop")
    assert job_id in await entries(api.app)
    await submit_all(stub, pb.Job(type="noop"), pb.Job(**{"type": "noop", **fields}))
    status = await stub.GetJob(pb.GetJobRequest(job_id=job_id))
    assert status.type == job.type


async def test_a_bad_neighbour_at_the_same_moment_fails_nobody_else(api, stub):
    """All these share a statement, and only the database sees that some are wrong."""
    calls = [
        stub.SubmitJob(
            pb.SubmitJobRequest(job=pb.Job(type="noop", payload_json="1e999999" if n % 7 == 3 else "{}"))
        )
        for n in range(50)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for number, answer in enumerate(answers):
        if number % 7 == 3:
            assert answer.code() is grpc.StatusCode.INVALID_ARGUMENT
        else:
            assert (await row(api.app, answer.job_id)).status is Status.QUEUED
    assert await count(api.app) == 43


# --- SubmitJobs


async def test_many_jobs_are_answered_in_their_order(api, stub):
    jobs = [
        pb.Job(
            type=f"type-{n}", payload_json=str(n), priority=1 + n % 4, job_id=str(uuid4()) if n % 3 else ""
        )
        for n in range(100)
    ]
    job_ids = await submit_all(stub, *jobs)
    for job, job_id in zip(jobs, job_ids, strict=True):
        assert job.job_id in ("", job_id)
        stored = await row(api.app, job_id)
        assert (stored.type, stored.payload) == (job.type, int(job.payload_json))
    for number, priority in enumerate(Priority):
        assert await entries(api.app, priority) == job_ids[number::4]


@on_shared
async def test_no_jobs_are_a_right_request(shared):
    _, stub = shared
    assert await submit_all(stub) == []


async def test_a_thousand_jobs_are_accepted(api, stub):
    job_ids = await submit_all(stub, *[pb.Job(type="noop")] * 1_000)
    assert len(set(job_ids)) == 1_000
    assert await entries(api.app) == job_ids
    assert metric(api.app, "jobs_submitted", priority="default", type="noop") == 1_000


async def test_more_than_a_thousand_jobs_are_refused(api, stub):
    assert await invalid(stub.SubmitJobs(pb.SubmitJobsRequest(jobs=[pb.Job(type="noop")] * 1_001))) == [
        "jobs"
    ]
    assert await count(api.app) == 0


async def test_duplicates_inside_one_request_are_one_job(api, stub):
    mine = str(uuid4())
    a, b, c, d, e = await submit_all(
        stub,
        pb.Job(type="noop", job_id=mine),
        pb.Job(type="noop", idempotency_key="k"),
        pb.Job(type="sleep", job_id=mine.upper()),
        pb.Job(type="sleep", idempotency_key="k"),
        pb.Job(type="sleep", idempotency_key="k", job_id=str(uuid4())),
    )
    assert (a, c) == (mine, mine)
    assert b == d == e != mine
    assert await count(api.app) == 2
    assert (await row(api.app, a)).type == (await row(api.app, b)).type == "noop"
    assert await entries(api.app) == [a, b]


async def test_known_jobs_among_new_ones_answer_their_first_ids(api, stub):
    old = await submit(stub, idempotency_key="old")
    new, same, other = await submit_all(
        stub,
        pb.Job(type="noop", idempotency_key="new"),
        pb.Job(type="noop", idempotency_key="old"),
        pb.Job(type="noop"),
    )
    assert same == old
    assert len({old, new, other}) == 3
    assert await count(api.app) == 3


async def test_a_payload_that_only_the_database_refuses_fails_them_all_and_is_named(api, stub):
    jobs = [pb.Job(type="noop", payload_json="1e999999" if n in (2, 5) else "{}") for n in range(8)]
    named = await invalid(stub.SubmitJobs(pb.SubmitJobsRequest(jobs=jobs)))
    assert named == ["jobs[2].payload_json", "jobs[5].payload_json"]
    assert await count(api.app) == 0


EVERY_FIELD_WRONG = pb.Job(
    type="x" * 201,
    priority=77,
    payload_json="NaN",
    idempotency_key="k" * 256,
    job_id="no UUID",
    max_attempts=-1,
)


@pytest.mark.parametrize(
    "job",
    [EVERY_FIELD_WRONG, pb.Job(type="noop", payload_json="1e999999")],
    ids=["at sight", "in the database"],
)
async def test_a_thousand_bad_jobs_are_still_refused_as_malformed(api, stub, job):
    """A status travels in a header, and a client throws a header away that is larger than 8 KiB."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.SubmitJobs(pb.SubmitJobsRequest(jobs=[job] * 1_000), timeout=SECONDS)
    answer = refusal(caught.value)
    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT, answer
    assert answer.fields
    assert all(field.startswith("jobs[") for field in answer.fields)
    header = len(answer.sentence) + sum(len(value) * 4 / 3 for _, value in caught.value.trailing_metadata())
    assert header < 8_000
    assert await count(api.app) == 0


# --- services that are away


async def test_a_job_is_accepted_without_delay_while_redis_is_down(settings):
    async with proxied_redis(settings) as (through, redis), serving(through) as (api, stub):
        await redis.refuse()
        job_id = await submit(stub)  # it does not come back meanwhile
        assert (await row(api.app, job_id)).status is Status.QUEUED
        assert metric(api.app, "push_failures") == 1
        assert metric(api.app, "jobs_submitted", priority="default", type="noop") == 1


async def test_many_jobs_are_accepted_without_delay_while_redis_hangs(settings):
    async with proxied_redis(settings) as (through, redis), serving(through) as (api, stub):
        await submit(stub)  # so that there is a connection, which hangs, and none, which can't be made
        redis.stall()
        # One push after the other would wait for 200 times COMMAND_SECONDS: longer than any patience.
        job_ids = await within(
            asyncio.gather(*[submit(stub) for _ in range(200)]), "200 jobs were accepted while Redis hangs"
        )
        assert len(await submit_all(stub, pb.Job(type="noop"), pb.Job(type="noop"))) == 2
        assert len(set(job_ids)) == 200
        assert metric(api.app, "push_failures") == 202
        assert await count(api.app) == 203
        await redis.restore()


async def test_a_job_is_pushed_as_soon_as_redis_is_back(settings):
    async with proxied_redis(settings) as (through, redis), serving(through) as (api, stub):
        await redis.refuse()
        lost = await submit(stub)
        await redis.restore()
        job_id = await submit(stub)
        assert await entries(api.app) == [job_id]
        assert await submit(stub, job_id=lost) == lost
        assert await entries(api.app) == [job_id, lost]


async def test_a_restart_of_redis_between_two_submits_loses_no_job(settings):
    async with proxied_redis(settings) as (through, redis), serving(through) as (api, stub):
        await submit(stub)
        redis.cut()
        second = await submit(stub)
        assert (await row(api.app, second)).status is Status.QUEUED
        third = await submit(stub)
        assert third in await entries(api.app)


async def test_a_database_that_is_away_is_unavailable_and_nothing_is_queued(settings):
    quick = settings.model_copy(update={"database_wait_seconds": 0.3})
    async with proxied_database(quick) as (through, database), serving(through) as (api, stub):
        await database.refuse()
        for call in (
            stub.SubmitJob(pb.SubmitJobRequest(job=pb.Job(type="noop"))),
            stub.SubmitJobs(pb.SubmitJobsRequest(jobs=[pb.Job(type="noop")] * 3)),
        ):
            answer = await refused(call)
            assert answer.code is grpc.StatusCode.UNAVAILABLE
            assert through.database_conninfo() not in answer.sentence
        assert await entries(api.app) == []
        await database.restore()


@pytest.mark.of_reference
async def test_a_restart_of_the_database_between_two_submits_is_not_noticed(settings):
    async with proxied_database(settings) as (through, database), serving(through) as (api, stub):
        await asyncio.gather(*[submit(stub) for _ in range(20)])
        database.cut()
        await submit(stub)
        assert await count(api.app) == 21
