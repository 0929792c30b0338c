"""Jobs before and beside the database: what may follow what, and what a new job may look like."""

import dataclasses
import random
import re
import sys
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from scheduler.errors import InvalidRequest
from scheduler.jobs import TERMINAL, TRANSITIONS, Job, NewJob, PermanentError, Priority, Status, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.wire import read_job, read_jobs

from tests.helpers import SEED, SOME_ID

MIB = 1024 * 1024


def fields_of(new, prefix="job"):
    return [violation.field for violation in new.violations(prefix)]


def refused(read, *arguments):
    with pytest.raises(InvalidRequest) as caught:
        read(*arguments)
    return [violation.field for violation in caught.value.violations]


# --- states


def test_the_table_of_transitions_is_that_of_the_design():
    table = {str(start): {str(end) for end in ends} for start, ends in TRANSITIONS.items()}
    assert table == {
        "queued": {"running", "cancelled"},
        "running": {"succeeded", "failed", "retry", "deadletter", "cancelled", "queued"},
        "retry": {"queued", "cancelled"},
        "failed": {"queued"},
        "deadletter": {"queued"},
        "succeeded": set(),
        "cancelled": set(),
    }


def test_four_statuses_are_terminal():
    assert {str(status) for status in TERMINAL} == {"succeeded", "failed", "deadletter", "cancelled"}
    assert [status for status in Status if status.is_terminal] == [
        Status.SUCCEEDED,
        Status.FAILED,
        Status.DEADLETTER,
        Status.CANCELLED,
    ]


def test_every_status_and_priority_has_its_number_in_the_api():
    assert {f"JOB_STATE_{status.name}" for status in Status} == set(pb.JobState.keys()) - {
        "JOB_STATE_UNSPECIFIED"
    }
    assert {f"PRIORITY_{one.name}" for one in Priority} == set(pb.Priority.keys()) - {"PRIORITY_UNSPECIFIED"}


def test_priorities_stand_in_their_order():
    assert list(map(str, Priority)) == ["critical", "high", "default", "low"]


# --- a new job


def test_a_job_of_a_type_alone_is_right():
    new = NewJob("noop")
    assert new.violations() == []
    assert (new.priority, new.payload_json, new.idempotency_key, new.max_attempts) == (
        Priority.DEFAULT,
        "{}",
        None,
        3,
    )
    assert new.task_id != NewJob("noop").task_id


@pytest.mark.parametrize(
    "type", ["x", "x" * 200, "ü" * 200, "😀" * 200, "a b", "a.b/c:d", " ", "'; --", "\u2028"]
)
def test_a_right_type_is_accepted(type):
    assert fields_of(NewJob(type)) == []


@pytest.mark.parametrize("type", ["", "x" * 201, "a\nb", "\0", "\x1f", "\x7f", "\x80", "\x9f", "tab\t"])
def test_a_bad_type_is_refused(type):
    assert fields_of(NewJob(type)) == ["job.type"]


@pytest.mark.parametrize("key", [None, "", "k", "k" * 255, "😀" * 255, " "])
def test_a_right_key_is_accepted(key):
    assert fields_of(NewJob("noop", idempotency_key=key)) == []


@pytest.mark.parametrize("key", ["k" * 256, "\n", "a\0", "\x85"])
def test_a_bad_key_is_refused(key):
    assert fields_of(NewJob("noop", idempotency_key=key)) == ["job.idempotency_key"]


@pytest.mark.parametrize(("number", "right"), [(1, True), (100, True), (0, False), (-1, False), (101, False)])
def test_attempts_go_from_one_to_a_hundred(number, right):
    assert fields_of(NewJob("noop", max_attempts=number)) == ([] if right else ["job.max_attempts"])


def test_the_prefix_is_the_clients_spelling():
    assert fields_of(NewJob("", max_attempts=0), "jobs[3]") == ["jobs[3].type", "jobs[3].max_attempts"]


GOOD_PAYLOADS = {
    "an object": "{}",
    "null": "null",
    "a string": '""',
    "a number": "-0.0e-5",
    "whitespace around": ' \t\r\n{"a" : 1}\n',
    "a key twice": '{"a": 1, "a": 2}',
    "exactly 1 MiB": '"' + "x" * (MIB - 2) + '"',
    "exactly 1 MiB of umlauts": '"' + "ä" * (MIB // 2 - 1) + '"',
    "5,000 digits": "9" * 5_000,
    "5,000 decimals": "0." + "9" * 5_000,
    "1e5000": "1e5000",
    "a pair": r'"\ud83d\ude00"',
    "a pair in capitals": r'"\uD83D\uDE00"',
    "pairs in a row": r'"\ud83d\ude00\ud83d\ude00"',
    "a raw emoji": '"😀"',
    "an escaped backslash before u0000": r'"\\u0000"',
    "an escaped backslash before half a pair": r'"\\ud83d"',
    "two escaped backslashes before u0000": r'"\\\\u0000"',
    "u0001": r'"\u0001"',
    "u00000 is u0000 and a zero": r'"\\u00000"',
    "the word NaN": '"NaN, Infinity and -Infinity"',
    "every short escape": r'"\"\\\/\b\f\n\r\t"',
    "a hundred deep": '{"a":' * 100 + "1" + "}" * 100,
}
BAD_PAYLOADS = {
    "nothing": "",
    "whitespace": " ",
    "half an object": "{",
    "two values": "1 2",
    "a trailing comma": "[1,]",
    "a comment": "{} // no",
    "single quotes": "{'a': 1}",
    "a bare word": "yes",
    "a leading zero": "01",
    "a plus": "+1",
    "a point without digits": "1.",
    "hexadecimal": "0x10",
    "NaN": "NaN",
    "NaN inside": '{"a": [NaN]}',
    "Infinity": "Infinity",
    "-Infinity": "[-Infinity]",
    "a raw newline in a string": '"a\nb"',
    "a raw NUL": '"\0"',
    "a byte order mark": "\ufeff{}",
    "u0000": r'"\u0000"',
    "u0000 in a key": r'{"a\u0000": 1}',
    "u0000 after a pair": r'"\ud83d\ude00\u0000"',
    "three backslashes before u0000": r'"\\\u0000"',
    "a lone high half": r'"\ud83d"',
    "a lone high half at the end": r'{"a": "x\ud83d"}',
    "a high half before a letter": r'"\ud83dx"',
    "a high half before another escape": r'"\ud83d\n"',
    "a high half before another": r'"\ud83d\ud83d\ude00"',
    "halves in two strings": r'["\ud83d", "\ude00"]',
    "a lone low half": r'"\ude00"',
    "a pair the wrong way round": r'"\ude00\ud83d"',
    "a low half after a pair": r'"\ud83d\ude00\ude00"',
    "one byte more than 1 MiB": '"' + "x" * (MIB - 1) + '"',
    "more than 1 MiB in bytes only": '"' + "ä" * (MIB // 2) + '"',
    # 13.5 KB here, 442 bytes in the table, 197 MB for whoever reads it.
    "numbers that are short to write and long to read": "[" + ",".join(["1e131071"] * 1500) + "]",
    "fractions of the same kind": "[" + ",".join(["1E-16000"] * 100) + "]",
    "an exponent without end": "1e" + "9" * 10_000,
    "an exponent with zeros before it": "[" + ",".join(["1e+0131071"] * 9) + "]",
    "nested beyond reason": "[" * 200_000 + "]" * 200_000,
    "objects nested beyond reason": '{"a":' * 100_000 + "1" + "}" * 100_000,
}


@pytest.mark.parametrize("payload", GOOD_PAYLOADS.values(), ids=GOOD_PAYLOADS)
def test_a_right_payload_is_accepted(payload):
    assert NewJob("noop", payload_json=payload).violations() == []


@pytest.mark.parametrize("payload", BAD_PAYLOADS.values(), ids=BAD_PAYLOADS)
def test_a_bad_payload_is_refused(payload):
    [violation] = NewJob("noop", payload_json=payload).violations()
    assert violation.field == "job.payload_json"
    assert violation.why.startswith("must ")
    assert len(violation.why) < 200


GROWING = ["1e131071", "-1.5e1000", "1e-16000", "0.001E+2000", "1e05", "12", '"1e131071"', "1e0"]


async def test_no_payload_that_is_accepted_is_much_longer_when_it_is_read(app):
    """jsonb writes numbers out, and a blank after each comma and colon: twice the limit is the most there can be."""
    dice = random.Random(SEED)
    for _ in range(20):
        numbers = dice.choices(GROWING, k=dice.choice([1, 7, 9, 60, 70]))
        payload = f"[{','.join(numbers)}]"
        row = await app.db.fetch_one("SELECT octet_length(%s::jsonb::text) AS size", [payload])
        if not NewJob("noop", payload_json=payload).violations():
            assert row["size"] <= 2 * MIB, payload[:100]
        else:
            assert row["size"] > MIB * 0.9, f"refused without need: {payload[:100]}"


@pytest.mark.parametrize("field", ["type", "idempotency_key", "payload_json"])
def test_text_that_utf_8_can_not_hold_is_refused_not_raised(field):
    """A command line may hand in half a surrogate pair."""
    text = '"\udc80"' if field == "payload_json" else "a\udc80"
    assert fields_of(NewJob(**{"type": "noop", field: text})) == [f"job.{field}"]


ESCAPES = [
    r"\\",
    r"\n",
    r"\"",
    r"\u0041",
    r"\u0000",
    r"\ud800",
    r"\uDBFF",
    r"\udc00",
    r"\uDFFF",
    "u",
    "0",
    "d800",
]


async def test_escapes_are_refused_exactly_where_the_database_refuses_them(app):
    dice = random.Random(SEED)
    payloads = ['"' + "".join(dice.choices(ESCAPES, k=dice.randint(1, 6))) + '"' for _ in range(500)]
    held = await app.db.fetch_all(
        "SELECT text, pg_input_is_valid(text, 'jsonb') AS right FROM unnest(%s::text[]) AS v(text)",
        [payloads],
    )
    for row in held:
        violations = NewJob("noop", payload_json=row["text"]).violations()
        assert (not violations) is row["right"], row["text"]


@pytest.mark.parametrize("escape", [r"\u0041", r"\ud83d\ude00", r"\\", r"\n"])
def test_a_megabyte_of_escapes_is_checked_without_a_step_for_each(escape):
    new = NewJob("noop", payload_json='"' + escape * ((MIB - 2) // len(escape)) + '"')
    lines = 0

    def count(*_):
        nonlocal lines
        lines += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        assert new.violations() == []
    finally:
        sys.settrace(before)
    assert lines < 1_000


async def test_the_database_holds_every_payload_that_is_accepted(app):
    for name, payload in GOOD_PAYLOADS.items():
        found = await app.db.fetch_one("SELECT %s::jsonb IS NOT NULL AS held", [payload])
        assert found == {"held": True}, name


# --- ids


def test_an_id_is_read_in_either_case():
    mine = uuid4()
    assert parse_job_id(str(mine)) == parse_job_id(str(mine).upper()) == mine


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        SOME_ID.replace("-", ""),
        f"{{{SOME_ID}}}",
        f"urn:uuid:{SOME_ID}",
        f" {SOME_ID}",
        f"{SOME_ID}\n",
        SOME_ID[:-1],
        SOME_ID + "0",
        "g" + SOME_ID[1:],
        "123e4567-e89b12d3-a456-4266141740000",
        "١23e4567-e89b-12d3-a456-426614174000",
        "x" * 100_000,
    ],
)
def test_anything_else_is_no_id(text):
    assert refused(parse_job_id, text) == ["job_id"]
    assert refused(parse_job_id, text, "job.job_id") == ["job.job_id"]


# --- from a message to a new job


def test_what_a_message_leaves_out_has_its_default():
    new = read_job(pb.Job(type="noop"))
    assert dataclasses.replace(new, task_id=UUID(int=0)) == NewJob("noop", task_id=UUID(int=0))


def test_what_a_message_says_is_what_the_job_is():
    mine = uuid4()
    message = pb.Job(
        job_id=str(mine).upper(),
        type="t",
        priority=pb.PRIORITY_LOW,
        payload_json="[1]",
        idempotency_key="k",
        max_attempts=9,
    )
    assert read_job(message) == NewJob("t", Priority.LOW, "[1]", "k", 9, mine)


BAD_MESSAGES = {
    "type": pb.Job(),
    "priority": pb.Job(type="noop", priority=5),
    "payload_json": pb.Job(type="noop", payload_json="{"),
    "job_id": pb.Job(type="noop", job_id="42"),
    "idempotency_key": pb.Job(type="noop", idempotency_key="k" * 256),
    "max_attempts": pb.Job(type="noop", max_attempts=-1),
}


@pytest.mark.parametrize("field", BAD_MESSAGES)
def test_a_bad_field_is_named_alone_and_in_a_list(field):
    message = BAD_MESSAGES[field]
    assert refused(read_job, message) == [f"job.{field}"]
    assert refused(read_job, message, "x") == [f"x.{field}"]
    good = pb.Job(type="noop")
    assert refused(read_jobs, pb.SubmitJobsRequest(jobs=[good, message])) == [f"jobs[1].{field}"]


def test_every_bad_field_is_named_at_once():
    bad = pb.Job(priority=-1, payload_json="{", job_id="42", idempotency_key="\n", max_attempts=101)
    assert set(refused(read_job, bad)) == {f"job.{field}" for field in BAD_MESSAGES}


def test_a_thousand_jobs_are_read_and_one_more_is_refused():
    thousand = [pb.Job(type="noop")] * 1_000
    assert len(read_jobs(pb.SubmitJobsRequest(jobs=thousand))) == 1_000
    assert read_jobs(pb.SubmitJobsRequest()) == []
    assert refused(read_jobs, pb.SubmitJobsRequest(jobs=[*thousand, thousand[0]])) == ["jobs"]


# --- a payload as a handler reads it


def job_with(payload_json):
    row = dict.fromkeys(field.name for field in dataclasses.fields(Job))
    now = datetime.now(UTC)
    row.update(
        task_id=uuid4(),
        type="noop",
        priority="default",
        payload=payload_json,
        status="queued",
        created_at=now,
        updated_at=now,
        queued_at=now,
    )
    return Job.from_row(row)


def test_a_payload_is_parsed_anew_each_time():
    job = job_with('{"a": [1]}')
    job.payload["a"].append(2)
    assert job.payload == {"a": [1]}


@pytest.mark.parametrize(
    "payload", ["1" * 5_000, "[" * 200_000 + "]" * 200_000], ids=["too many digits", "nested too deeply"]
)
def test_a_payload_that_python_can_not_hold_is_a_permanent_error(payload):
    with pytest.raises(PermanentError, match=re.compile("payload")):
        _ = job_with(payload).payload


def test_a_row_with_a_column_of_a_newer_version_is_read(monkeypatch):
    row = {field.name: None for field in dataclasses.fields(Job)}
    row |= {"payload": "{}", "priority": "low", "status": "retry", "column_of_the_future": 1}
    job = Job.from_row(row)
    assert (job.priority, job.status) == (Priority.LOW, Status.RETRY)


def test_a_job_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        job_with("{}").status = Status.RUNNING
