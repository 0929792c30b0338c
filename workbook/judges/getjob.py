"""What chapter 02 is judged on.

Open in the contract: the state of a word that is a known one in other letters (QUEUED), a priority that nobody knows,
other spellings of an id that `uuid.UUID` reads (in braces, without hyphens: found, or refused as malformed), how a
refusal is worded, and whether a GetJob waits for a row that is locked.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import psycopg
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from scheduler.jobs import TRANSITIONS, Job, Priority, Status
from scheduler.v1 import scheduler_pb2 as pb

from workbook.judge import Judge, Row, Seen, Side, blamed, refusal
from workbook.judges import odd
from workbook.judges.failing import FAILURES, status_of
from workbook.judges.leaks import passwords
from workbook.judges.queue import watched_log
from workbook.loop import Hang
from workbook.stream import RpcFailed
from workbook.world import Asking, Calling, World

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
ZONES = (
    UTC,
    timezone(timedelta(hours=5, minutes=30)),
    timezone(-timedelta(hours=3, minutes=30)),
    odd.BERLIN,
)
MOMENTS = (
    odd.NOON,
    odd.NOON.replace(microsecond=1),
    odd.NOON.replace(microsecond=999_999),
    odd.NOON.replace(microsecond=0),
    datetime(1969, 12, 31, 23, 59, 59, 654_321, UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, 7, UTC),
    datetime(2400, 2, 29, 1, 2, 3, 987_653, UTC),
    # Berlin's clocks show the same for these two.
    datetime(2024, 10, 27, 0, 30, 0, 7, UTC),
    datetime(2024, 10, 27, 1, 30, 0, 7, UTC),
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
    judge.each([replace(ANOTHER, status=word) for word in ("queued", "succeeded")], _same_id)
    judge.compare(st.builds(Columns, **_columns((*WORDS, "paused"))), _message, examples=120)


def task_3(judge: Judge) -> None:
    judge.each(
        [Change(one, other) for one, others in TRANSITIONS.items() for other in sorted(others)], _changed
    )
    judge.compare(_questions(), _asked, examples=30)
    judge.each(("goes away", "has its answer late"), _beside_another)
    judge.each(CROWDS_OF_JOBS, _at_once)


def task_4(judge: Judge) -> None:
    judge.each((*map(str, odd.VERSIONS), *NO_IDS), _refused)
    judge.each((Change(None, "queued"), Change("succeeded", None), Change(None, "failed")), _changed)
    judge.each(SPELLINGS, _spelled)
    judge.each(FAULTS, _at_fault)
    judge.each(CROWDS_OF_ALL_KINDS, _at_once)


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


ANOTHER = Columns(
    odd.task_id(300),
    "queued",
    "sleep",
    Priority.LOW,
    2,
    7,
    1,
    "RuntimeError: no answer",
    tuple(odd.NOON + timedelta(hours=hours) for hours in range(1, 6)),
)
"""It has nothing of `Columns.plain`, but that both are new."""


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


def _message(side: Side, columns: Columns, note: str = "") -> Iterator[Seen]:
    got = side.code.job_to_status(columns.job)
    where = f"job_to_status of {columns!r}{note}"
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


def _same_id(side: Side, columns: Columns) -> Iterator[Seen]:
    """A job may be deleted, and its id given to another."""
    first = replace(Columns.plain(), task_id=columns.task_id, status=columns.status)
    side.code.job_to_status(first.job)
    yield from _message(side, columns, f", for whose id job_to_status was called before, of {first!r}")


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


@dataclass(frozen=True)
class Change:
    """What was there for an id when somebody asked, and what is there now: a job of this status, or none."""

    before: str | None
    now: str | None

    def __repr__(self) -> str:
        if self.now is None:
            return f"GetJob of a {self.before} job that was deleted after an earlier GetJob had found it"
        if self.before is None:
            return (
                f"GetJob of a {self.now} job that was not there yet when an earlier GetJob asked for its id"
            )
        return f"GetJob of a {self.now} job that was {self.before} when an earlier GetJob asked for it"

    @property
    def task_id(self) -> UUID:
        """An id of its own, and of a usual kind: what is seen has to do with this change alone."""
        return UUID(bytes=uuid5(odd.SPACE, repr(self)).bytes, version=4)


def _changed(side: Side, change: Change) -> Iterator[Seen]:
    row = Row("this job", change.task_id, change.before or change.now or "")
    if change.before:
        side.insert(row)
    side.call("GetJob", job_id=row.task_id)
    if change.before is None:
        side.insert(row)
    elif change.now is None:
        side.world.sql("DELETE FROM tasks WHERE task_id = %s", row.task_id)
    else:
        side.change(row, change.now)
    yield Seen(repr(change), side.call("GetJob", job_id=row.task_id).value)


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
        got = _answer(side, second)
        first.end()
    yield Seen(
        f"GetJob of a job that has just become running, while an earlier GetJob, which has read the queued row, {case}",
        got,
    )


NO_ANSWER = "no answer at all"


def _answer(side: Side, calling: Calling) -> Any:
    """What a call that goes on beside the test is answered in the end."""
    try:
        return side.plain(calling.result())
    except RpcFailed as failed:
        return refusal(failed)
    except Hang:
        if side.world.blocking_line():
            raise
        return NO_ANSWER


@dataclass(frozen=True)
class Crowd:
    """What is asked for in one turn of the loop. There are jobs of even numbers, and one client may leave at once."""

    asked: tuple[int | str, ...]
    leaves: int | None = None

    def __repr__(self) -> str:
        left = "" if self.leaves is None else f", after the client of call {self.leaves + 1} had left"
        return f"{len(self.asked)} calls at once, for {', '.join(map(self._told, self.asked))}{left}"

    def told(self, place: int) -> str:
        """One of the calls."""
        return f"what GetJob answers for {self._told(self.asked[place])}, in call {place + 1} of {self!r}"

    @staticmethod
    def text(asked: int | str) -> str:
        """What the client sends."""
        return asked if isinstance(asked, str) else f"00000000-0000-4000-8000-{asked:012}"

    @staticmethod
    def _told(asked: int | str) -> str:
        if isinstance(asked, str):
            return repr(asked)
        return f"id {asked} (of no job)" if asked % 2 else f"job {asked}"


CROWDS_OF_JOBS = (
    Crowd((2, 4, 6)),
    Crowd((4, 2, 4)),
    Crowd((2, 4, 2), leaves=0),
    Crowd((2, 2, 4), leaves=2),
)
CROWDS_OF_ALL_KINDS = (
    Crowd((1, 2, 3, 4)),
    Crowd((6, 5, 4, 5)),
    Crowd((2, "42", 4)),
    Crowd((1, 2, 1), leaves=0),
)


def _at_once(side: Side, crowd: Crowd) -> Iterator[Seen]:
    """Several calls that are seen in one turn of the loop. What code does for all of them, each must be able to do."""
    side.insert(*(Row(f"job {number}", UUID(Crowd.text(number)), WORDS[number // 2]) for number in (2, 4, 6)))
    world = side.world
    calls: dict[int, Calling] = {}
    leaving: Asking | None = None
    with world.short_timers_held() as go_off:
        with world.door_closed():
            for place, asked in enumerate(crowd.asked):
                text = Crowd.text(asked)
                one: Asking | Calling
                if place == crowd.leaves:
                    one = leaving = world.ask("GetJob", job_id=text)
                else:
                    one = calls[place] = world.begin("GetJob", job_id=text)
                world.until(partial(_has_come, world, one, place + 1), "the next GetJob has come")
        world.turns()
    if leaving is not None:
        leaving.leave()
    go_off()
    for place, calling in calls.items():
        answer = _answer(side, calling)
        yield Seen(crowd.told(place), answer)
        if answer == NO_ANSWER:
            return  # the others would be waited for, too


def _has_come(world: World, call: Asking | Calling, calls: int) -> bool:
    return call.done or world.calls_at_work() >= calls


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
