"""What chapter 02 is judged on.

Open in the contract: the state of a word that is a known one in other letters (QUEUED), a priority that nobody knows,
other spellings of an id that `uuid.UUID` reads (in braces, without hyphens: found, or refused as malformed), how a
refusal is worded, and whether a GetJob waits for a row that is locked.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import psycopg
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from scheduler.jobs import Job, Priority, Status
from scheduler.v1 import scheduler_pb2 as pb

from workbook.judge import Judge, Row, Seen, Side, blamed, refusal
from workbook.judges import odd
from workbook.judges.failing import FAILURES, status_of
from workbook.judges.leaks import passwords
from workbook.judges.queue import watched_log
from workbook.loop import Hang
from workbook.stream import RpcFailed

WORDS = tuple(map(str, Status))
UNKNOWN_WORDS = (
    "paused",
    "",
    "unspecified",
    "que",
    "ued",
    "letter",
    "dead",
    "cancel",
    "run",
    "ed",
    "state",
    "queued ",
    " queued",
    "queued,running",
    "re-queued",
    "retry_later",
    "job_state_queued",
    "JOB_STATE_QUEUED",
    "priority_high",
    "high",
    "keys",
    "items",
    "Value",
    "Name",
    "name",
    "DESCRIPTOR",
    "__class__",
    "0",
    "1",
    "7",
)
ZONES = (UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=3, minutes=30)))
MOMENTS = (
    odd.NOON,
    odd.NOON.replace(microsecond=1),
    odd.NOON.replace(microsecond=999_999),
    odd.NOON.replace(microsecond=0),
    datetime(1969, 12, 31, 23, 59, 59, 654_321, UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, 7, UTC),
    datetime(2400, 2, 29, 1, 2, 3, 987_653, UTC),
)
ERRORS = (None, "", "None", 'RuntimeError: it\'s "no" answer', "two\nlines", "x" * 1_999, "日本 %s {0}")
TIMES = ("created_at", "updated_at", "started_at", "finished_at", "next_run_at")


def task_1(judge: Judge) -> None:
    words: tuple[str, ...] = (*Status, *WORDS, *UNKNOWN_WORDS, _as_in_a_row("paused"))
    judge.each(words, _state)


def _as_in_a_row(word: str) -> str:
    """The status of a `Job` whose row a newer server has written: none of the members, though of their type."""
    return replace(Columns.plain(), status=word).job.status


def _state(side: Side, word: str) -> Iterator[Seen]:
    known = isinstance(word, Status) and word not in WORDS
    note = ", the status of a Job that a newer server has written" if known else ""
    yield Seen(f"state_to_proto({str(word)!r}{note})", side.code.state_to_proto(word))


def task_2(judge: Judge) -> None:
    judge.each(WORDS[1:3], _kept)
    judge.compare(st.builds(Columns, **_columns((*WORDS, "paused"))), _message, examples=120)


def task_3(judge: Judge) -> None:
    judge.compare(_questions(), _asked, examples=30)
    judge.each(("goes away", "has its answer late"), _beside_another)


def task_4(judge: Judge) -> None:
    judge.each((*map(str, odd.VERSIONS), *NO_IDS), _refused)
    judge.each(SPELLINGS, _spelled)
    judge.each(FAULTS, _at_fault)


def task_5(judge: Judge) -> None:
    judge.each(FAILURES, _failed)


# -- task 2


@dataclass(frozen=True)
class Columns:
    """A row of `tasks`, as a `Job`."""

    task_id: UUID
    status: str
    type: str
    priority: Priority
    attempts: int
    max_attempts: int
    version: int
    last_error: str | None
    times: tuple[datetime | None, ...]

    @classmethod
    def plain(cls) -> "Columns":
        """A row as any."""
        return cls(
            odd.VERSIONS[0],
            "queued",
            "noop",
            Priority.DEFAULT,
            0,
            3,
            1,
            None,
            (odd.NOON, odd.NOON, *[None] * 3),
        )

    def __repr__(self) -> str:
        times = ", ".join(
            f"{name} {time}" for name, time in zip(TIMES, self.times, strict=True) if time is not None
        )
        return (
            f"a {self.status} job (priority {self.priority}, type {self.type!r}, attempts {self.attempts} of "
            f"{self.max_attempts}, version {self.version}, last_error {self.last_error!r:.60}, {times})"
        )

    @property
    def job(self) -> Job:
        row: dict[str, Any] = dict.fromkeys(Job.__slots__)
        row |= dict(zip(TIMES, self.times, strict=True)) | {"payload": "{}", "queued_at": odd.NOON}
        for name in ("task_id", "status", "type", "attempts", "max_attempts", "version", "last_error"):
            row[name] = getattr(self, name)
        return Job.from_row({**row, "priority": str(self.priority), "worker": "w", "idempotency_key": "once"})


def _columns(words: Sequence[str]) -> dict[str, SearchStrategy[Any]]:
    time = st.builds(datetime.astimezone, st.sampled_from(MOMENTS), st.sampled_from(ZONES))
    maybe = st.none() | time
    return {
        "task_id": st.sampled_from(odd.VERSIONS),
        "status": st.sampled_from(words),
        "type": odd.types(),
        "priority": st.sampled_from(list(Priority)),
        "attempts": st.sampled_from((0, 1, 2, 100)),
        "max_attempts": st.sampled_from((3, 1, 100)),
        "version": st.sampled_from((1, 6, 2**31 - 1)),
        "last_error": st.sampled_from(ERRORS),
        "times": st.tuples(time, time, maybe, maybe, maybe),
    }


def _message(side: Side, columns: Columns) -> Iterator[Seen]:
    got = side.code.job_to_status(columns.job)
    where = f"job_to_status of {columns!r}"
    if not isinstance(got, pb.JobStatus):
        yield Seen(f"the type of {where}", type(got).__name__)
        return
    for field in pb.JobStatus.DESCRIPTOR.fields:
        is_there = not field.has_presence or got.HasField(field.name)  # type: ignore[arg-type]
        yield Seen(f"{field.name} in {where}", _plain(getattr(got, field.name)) if is_there else "left out")


def _kept(side: Side, status: str) -> Iterator[Seen]:
    """A message belongs to whoever asked for it: that another is made changes nothing of it."""
    first = Columns.plain()
    message = side.code.job_to_status(first.job)
    side.code.job_to_status(replace(first, status=status, task_id=odd.VERSIONS[1]).job)
    where = f"in the message of job 1 (queued), when job_to_status was called for job 2 ({status}), too"
    if isinstance(message, pb.JobStatus):
        yield Seen(f"job_id {where}", "job 1" if message.job_id == str(first.task_id) else message.job_id)
        yield Seen(f"state {where}", pb.JobState.Name(message.state))


def _plain(value: Any) -> Any:
    """A timestamp as text with all its digits; the rest as it is."""
    return f"{value.ToDatetime(UTC)} and {value.nanos} ns" if hasattr(value, "nanos") else value


# -- task 3

ROWS = "SELECT * FROM tasks ORDER BY task_id"


@dataclass(frozen=True)
class Question:
    """Which of the jobs is asked for, and in which letters; and what becomes of it before."""

    number: int
    letters: str
    becomes: str

    def __repr__(self) -> str:
        change = f"job {self.number} becomes {self.becomes}, then " if self.becomes else ""
        return f"{change}GetJob of job {self.number}" + (f" in {self.letters}" if self.letters else "")


@dataclass(frozen=True)
class Questions:
    """Some jobs, and what is asked about them."""

    jobs: tuple[tuple[str, Columns], ...]
    questions: tuple[Question, ...]

    def __repr__(self) -> str:
        jobs = ", ".join(
            f"job {number} ({status}, {columns.priority}, {columns.type!r})"
            for number, (status, columns) in enumerate(self.jobs)
        )
        return f"{', then '.join(map(repr, self.questions))}, where there are {jobs}"


def _questions() -> SearchStrategy[Questions]:
    jobs = st.lists(
        st.tuples(st.sampled_from(WORDS), st.builds(Columns, **_columns(WORDS))), min_size=1, max_size=4
    )
    question = st.builds(
        Question,
        st.integers(0, 3),
        st.sampled_from(("", "", "upper case", "mixed letters")),
        st.sampled_from(("", "", *WORDS)),
    )
    questions = st.lists(question, min_size=1, max_size=4)
    return st.builds(Questions, jobs.map(tuple), questions.map(tuple))


def _asked(side: Side, case: Questions) -> Iterator[Seen]:
    rows = []
    for number, (status, columns) in enumerate(case.jobs):
        more = {
            "created_at": columns.times[0],
            "last_error": columns.last_error,
            "max_attempts": columns.max_attempts,
            "version": columns.version,
            "payload": '{"secret": 1}',
        }
        task_id = odd.VERSIONS[number]
        rows.append(Row(str(task_id), task_id, status, columns.type, str(columns.priority), more))
        side.insert(rows[-1])
    answers = []
    for question in case.questions:
        row = rows[question.number % len(rows)]
        if question.becomes:
            side.change(row, question.becomes)
        before = side.world.sql(ROWS)
        answers.append(side.call("GetJob", job_id=_in_letters(str(row.task_id), question.letters)).value)
        if side.world.sql(ROWS) != before:
            answers.append("and the row is not what it was")
    yield Seen(f"what answers {case!r}", answers)
    yield side.redis()


def _in_letters(text: str, letters: str) -> str:
    match letters:
        case "upper case":
            return text.upper()
        case "mixed letters":
            return "".join(one.upper() if place % 2 else one for place, one in enumerate(text))
        case _:
            return text


def _beside_another(side: Side, case: str) -> Iterator[Seen]:
    """Two calls at once. The first has read the row when that changes, and then the second comes."""
    row = Row(TEXT, HERE, "queued")
    side.insert(row)
    side.call("GetJob", job_id=TEXT)
    world = side.world
    with world.first_read_held() as (has_read, over):
        first = world.ask("GetJob", job_id=TEXT)
        world.until(lambda: has_read.is_set() or first.done, "GetJob has read the row")
        side.change(row, "running")
        second = world.begin("GetJob", job_id=TEXT)
        world.until(
            lambda: second.done or world.calls_at_work() > 1, "a second GetJob is at work beside the first"
        )
        world.turns()
        if case == "goes away":
            first.leave()
        over.set()
        try:
            got = side.plain(second.result())
        except RpcFailed as failed:
            got = refusal(failed)
        except Hang:
            if world.blocking_line():
                raise
            got = "no answer at all"
        first.end()
    yield Seen(
        f"GetJob of a job that has just become running, while an earlier GetJob, which has read the queued row, {case}",
        got,
    )


# -- task 4

HERE = odd.VERSIONS[0]
TEXT = str(HERE)
NO_IDS = (
    "",
    "42",
    "not-a-uuid",
    " ",
    "None",
    "null",
    "' OR 'a'='a",
    "' OR '1'='1' --",
    f"{TEXT}' OR 'a'='a",
    f"{TEXT}'; DELETE FROM tasks; --",
    f"{TEXT}\n",
    f"{TEXT} x",
    f"{TEXT}\0",
    "\0",
    TEXT[:-1],
    f"{TEXT}0",
    f"{TEXT[:-1]}g",
    f"{TEXT[:-1]}'",
    f"{TEXT[:-1]}%",
    "x" * 36,
    "-" * 36,
    "g" * 32,
    "%s",
    "%",
    "_" * 36,
    "{}",
    "{0}",
    "../../etc/passwd",
    "日本",
    "a" * 10_000,
)
"""None of them is the id of anything, however kindly it is read."""

SPELLINGS = (
    TEXT.replace("-", ""),
    TEXT.replace("-", "").upper(),
    f"{{{TEXT}}}",
    f"urn:uuid:{TEXT}",
    TEXT.replace("-", "--"),
    f" {TEXT}",
    f"{TEXT} ",
    f"{TEXT[:9]}{TEXT[10:]}-",
)
"""What some readers of UUIDs take, and others don't."""


def _some_jobs(side: Side) -> None:
    for task_id in odd.VERSIONS[::2]:
        side.insert(Row(str(task_id), task_id, "queued"))


def _refused(side: Side, asked: str) -> Iterator[Seen]:
    """Asked twice: what the first call left behind would show in the second."""
    _some_jobs(side)
    where = ", where there are jobs of other ids"
    if asked in map(str, odd.VERSIONS[::2]):
        where = ", which is the id of a queued job"
    if len(asked) > 90:
        where = f", a text of {len(asked):,} letters"
    call = f"GetJob(job_id={asked!r:.90})"
    yield Seen(f"{call}{where}", side.call("GetJob", job_id=asked).value)
    yield Seen(f"{call}{where}, asked again", side.call("GetJob", job_id=asked).value)
    yield Seen(f"the number of jobs after {call}", len(side.world.sql(ROWS)))


def _spelled(side: Side, asked: str) -> Iterator[Seen]:
    """Found or refused: either is right, and a fault of the server is not."""
    _some_jobs(side)
    usual = side.call("GetJob", job_id=TEXT).value
    got = side.call("GetJob", job_id=asked).value
    fine = "the job, or INVALID_ARGUMENT that blames job_id"
    yield Seen(
        f"GetJob(job_id={asked!r}), another spelling of the id of a job",
        fine if got in (usual, blamed(["job_id"])) else got,
    )


FAULTS = (ValueError("no such thing"), TypeError("not that"), KeyError("nothing"))
"""What the server itself may do wrong while it reads the row."""


def _at_fault(side: Side, fault: Exception) -> Iterator[Seen]:
    """The client asked for a job that is there. That it can't be read is no mistake of the client's."""
    _some_jobs(side)
    side.call("GetJob", job_id=TEXT)
    with side.world.database_raises(fault):
        try:
            got = side.call("GetJob", job_id=TEXT).value
        except type(fault):
            got = "INTERNAL, and the error in the log"
    yield Seen(f"GetJob of a job, while the server's own reading of its row raises {fault!r}", got)


# -- task 5

SECRETS = ("10.0.0.7", "hunter2", "SELECT", "tasks")


def _failed(side: Side, failure: psycopg.Error) -> Iterator[Seen]:
    _some_jobs(side)
    side.call("GetJob", job_id=TEXT)
    where = f"while the database says {type(failure).__name__}"
    with watched_log() as log:
        with side.world.database_raises(failure):
            known = status_of(side, "GetJob", job_id=TEXT)
            malformed = status_of(side, "GetJob", job_id="42")
        unknown = status_of(side, "GetJob", job_id=odd.task_id(1))
        again = status_of(side, "GetJob", job_id=TEXT)
    yield Seen(f"GetJob of a job, {where}", known)
    yield Seen(f"GetJob of '42', {where}", malformed)
    yield Seen(
        f"GetJob of an id that nobody has, right after the database said {type(failure).__name__}", unknown
    )
    yield Seen(f"GetJob of a job, right after the database said {type(failure).__name__}", again)
    said = [note for note in side.world.notes[-4:] if any(secret in note for secret in SECRETS)]
    yield Seen(f"of the inside, in what GetJob answers {where}", said)
    url = psycopg.conninfo.conninfo_to_dict(side.world.settings.database_conninfo())
    texts = [logging.Formatter().format(record) for record in log]
    # A statement that is wrong is the server's fault, and its error belongs into the log with all that it says.
    secrets = [str(url["password"]), *(["hunter2"] if isinstance(failure, psycopg.OperationalError) else [])]
    yield Seen(f"passwords in the log of GetJob, {where}", passwords(texts, secrets))
