"""What a job is: its row, its states, what may follow what, and how a new one is checked and inserted.

Given to the learner.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

from scheduler.connections import Connection
from scheduler.database import Lost, Row, is_data_error
from scheduler.errors import InvalidRequest, Violation

if TYPE_CHECKING:
    from scheduler.app import App


class Status(StrEnum):
    """Where a job stands. The words are those of the column `tasks.status`."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEADLETTER = "deadletter"
    CANCELLED = "cancelled"
    RETRY = "retry"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.DEADLETTER, Status.CANCELLED})

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED}),
    Status.RUNNING: frozenset(Status) - {Status.RUNNING},
    Status.RETRY: frozenset({Status.QUEUED, Status.CANCELLED}),
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.DEADLETTER: frozenset({Status.QUEUED}),
    Status.SUCCEEDED: frozenset(),
    Status.CANCELLED: frozenset(),
}
"""What may follow each status. Each arrow is one guarded UPDATE in this package; there is no other way."""


class Priority(StrEnum):
    """How urgent a job is, most urgent first. The words are those of SQL, Redis and the metrics."""

    CRITICAL = "critical"
    HIGH = "high"
    DEFAULT = "default"
    LOW = "low"


class PermanentError(Exception):
    """Raised by a handler whose job no retry can mend: the job becomes failed at once."""


@dataclass(frozen=True, slots=True)
class Job:
    """One row of `tasks`. Times are the database's, with a time zone.

    `payload_json` is the payload as text, or None where a row was read without it. It may be a megabyte, so it travels
    only to whoever runs the job.
    """

    task_id: UUID
    type: str
    priority: Priority
    payload_json: str | None
    status: Status
    attempts: int
    max_attempts: int
    last_error: str | None
    worker: str | None
    version: int
    idempotency_key: str | None
    created_at: datetime
    updated_at: datetime
    queued_at: datetime
    pushed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    next_run_at: datetime | None
    lease_expires_at: datetime | None

    @classmethod
    def from_row(cls, row: Row) -> "Job":
        """Make a `Job` of a row that `SELECT *` or `RETURNING *` gave. Columns it does not know are left out.

        Or of a row with the columns in `COLUMNS`: those are all but the payload. A status or a priority that this
        version never heard of stays the word that it is: a newer version wrote it, and no row may blind others.
        """
        return cls(
            row["task_id"],
            row["type"],
            _PRIORITIES.get(row["priority"]) or _unheard_of(Priority, row["priority"]),
            row.get("payload"),
            _STATUSES.get(row["status"]) or _unheard_of(Status, row["status"]),
            row["attempts"],
            row["max_attempts"],
            row["last_error"],
            row["worker"],
            row["version"],
            row["idempotency_key"],
            row["created_at"],
            row["updated_at"],
            row["queued_at"],
            row["pushed_at"],
            row["started_at"],
            row["finished_at"],
            row["next_run_at"],
            row["lease_expires_at"],
        )

    @property
    def payload(self) -> Any:
        """The payload, parsed anew at each call. Raises `PermanentError` if Python can't hold it.

        Raises `LookupError` if the row was read without its payload.
        """
        if self.payload_json is None:
            raise LookupError("this job was read without its payload, or its payload is too large to be read")
        try:
            return json.loads(self.payload_json)
        except (ValueError, RecursionError) as error:
            raise PermanentError(f"the payload can't be read in Python: {error}") from error


NAMES = [one.name for one in fields(Job) if one.name != "payload_json"]
LONGEST_ERROR = 2_000
"""Characters of a `last_error` that anybody reads. This package writes no longer one; a row may hold any."""
COLUMNS = ", ".join(NAMES).replace("last_error", f"left(last_error, {LONGEST_ERROR}) AS last_error")
"""Every column that `Job.from_row` needs, by name: all but the payload. One that is added later changes nothing."""


def columns(table: str) -> str:
    """`COLUMNS`, each with the table's name before it: `t.task_id, t.type, …`."""
    return ", ".join(f"{table}.{name}" for name in NAMES).replace(
        f"{table}.last_error", f"left({table}.last_error, {LONGEST_ERROR}) AS last_error"
    )


_PRIORITIES = {str(priority): priority for priority in Priority}
_STATUSES = {str(status): status for status in Status}

Word = TypeVar("Word", bound=StrEnum)


def _unheard_of(words: type[Word], text: str) -> Word:
    """A word that is none of them, and behaves like one: it is equal to its text, and to no member."""
    word = str.__new__(words, text)
    word._name_ = word._value_ = text
    return word


MAX_TYPE = 200
MAX_KEY = 255
MAX_PAYLOAD = 1024 * 1024
MAX_ATTEMPTS = 100
DEFAULT_ATTEMPTS = 3
DATABASE_REFUSES = (
    "must be JSON that the database can hold: no number beyond numeric's range, not nested too deeply"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HALF = re.compile(r"[\ud800-\udfff]")
HALF = "must not contain half of a surrogate pair"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that has not been inserted yet. `violations` says what is wrong with it, if anything is."""

    type: str
    priority: Priority = Priority.DEFAULT
    payload_json: str = "{}"
    idempotency_key: str | None = None
    max_attempts: int = DEFAULT_ATTEMPTS
    task_id: UUID = field(default_factory=uuid4)

    def violations(self, prefix: str = "job") -> list[Violation]:
        """Every field that is wrong, as (`job.type`, "must be …") pairs; none when the job is right."""
        found = [
            ("type", type_violation(self.type)),
            ("payload_json", _payload_violation(self.payload_json)),
            ("idempotency_key", _text_violation(self.idempotency_key or "", MAX_KEY)),
            ("max_attempts", _attempts_violation(self.max_attempts)),
        ]
        return [Violation(f"{prefix}.{name}", why) for name, why in found if why]


def type_violation(text: str) -> str | None:
    """Why `text` is no job type, or None if it is one."""
    return (
        _text_violation(text, MAX_TYPE) if text else "must not be empty: it names the handler, such as noop"
    )


def parse_job_id(text: str, field_name: str = "job_id") -> UUID:
    """Read a UUID in its usual form, upper case allowed. Raises `InvalidRequest` that names the field."""
    if not _UUID.fullmatch(text):
        raise InvalidRequest(
            [Violation(field_name, "must be a UUID, such as 123e4567-e89b-12d3-a456-426614174000")]
        )
    return UUID(text)


async def get_job_row(app: "App", task_id: UUID) -> Job | None:
    """Read one job, or None if there is no such job."""
    row = await app.db.fetch_one(f"SELECT {COLUMNS}, payload FROM tasks WHERE task_id = %s", [task_id])
    return Job.from_row(row) if row else None


async def find_job(app: "App", task_id: UUID) -> Job | None:
    """As `get_job_row`, without the payload: for whoever does not run the job."""
    row = await app.db.fetch_one(f"SELECT {COLUMNS} FROM tasks WHERE task_id = %s", [task_id])
    return Job.from_row(row) if row else None


async def change_job(app: "App", task_id: UUID, update: str, status: Status) -> Job | None:
    """Run a guarded UPDATE of one job, which leads to `status`, and return the job; None if it matched no row.

    If the reply is lost, it runs again. The row then shows whether the first try was done: it has this status, and one
    version more than before. That alone is why the row is read beforehand; the UPDATE decides.
    """
    before = await find_job(app, task_id)
    try:
        row = await app.db.fetch_one(update, [task_id])
    except Lost:
        row = await app.db.fetch_one(update, [task_id])
        after = await find_job(app, task_id)
        if row is None and before is not None and after is not None:
            return after if (after.status, after.version) == (status, before.version + 1) else None
    return Job.from_row(row) if row else None


async def insert_job(app: "App", new: NewJob) -> tuple[Job, bool]:
    """Insert a job, or find the one that is the same job, and say whether it was created.

    The same job is one with this `task_id` or, failing that, with this idempotency key. Calls that come at the same
    time share one statement. Raises `InvalidRequest` if the database can't hold the payload.
    """
    with payload_errors():
        return await app.together(insert_jobs, new, size=len(new.payload_json))


@contextmanager
def payload_errors() -> Iterator[None]:
    """Turn the database's refusal of one job's payload into the `InvalidRequest` that it is."""
    try:
        yield
    except Exception as error:
        if is_data_error(error):
            raise InvalidRequest([Violation("job.payload_json", DATABASE_REFUSES)]) from None
        raise


# The payloads are sent in binary (%b): in text, each backslash of an array would be escaped by a step of Python.
INSERT = f"""
    INSERT INTO tasks (task_id, type, priority, payload, max_attempts, idempotency_key)
    SELECT id, type, priority, payload::jsonb, max_attempts, key
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %b::text[], %s::int[], %s::text[])
        AS v(id, type, priority, payload, max_attempts, key)
    ON CONFLICT DO NOTHING
    RETURNING {COLUMNS}
"""
FIND = f"SELECT {COLUMNS} FROM tasks WHERE task_id = ANY(%s::uuid[]) OR idempotency_key = ANY(%s::text[])"

LARGEST_STATEMENT = 4 * 1024 * 1024
"""Bytes of payloads in one statement. libpq keeps a buffer of the largest one, in each connection, for ever."""


async def insert_jobs(app: "App", new: Sequence[NewJob]) -> list[tuple[Job, bool]]:
    """Insert several jobs, all or none; otherwise as `insert_job`, in the same order.

    It is one statement, unless their payloads are large: then it is one transaction.
    """
    lost = False
    try:
        rows = await _insert(app, new)
    except Lost:
        # Each row bears an id of its own, so a second try adds nothing to a first that was done.
        lost = True
        rows = await _insert(app, new)
    created = {row["task_id"] for row in rows}
    if len(created) < len(new):
        # ON CONFLICT waits until the other transaction has ended, so the first job is there to be found.
        keys = [one.idempotency_key for one in new if one.idempotency_key]
        rows = await app.db.fetch_all(FIND, [[one.task_id for one in new], keys])
    if lost:
        created |= {row["task_id"] for row in rows} & {one.task_id for one in new}
    jobs = [Job.from_row(row) for row in rows]
    by_id = {job.task_id: job for job in jobs}
    by_key = {job.idempotency_key: job for job in jobs if job.idempotency_key}
    answers = []
    for one in new:
        job = by_id.get(one.task_id) or by_key.get(one.idempotency_key or "")
        if job is None:  # `scheduler prune` deleted the first job between the two statements
            answers += await insert_jobs(app, [one])
            continue
        answers.append((job, job.task_id in created))
        created.discard(job.task_id)
    return answers


async def _insert(app: "App", new: Sequence[NewJob]) -> list[Row]:
    first, *others = _portions(new)
    if not others:
        return await app.db.fetch_all(INSERT, _values(first))

    async def insert_all(connection: Connection) -> list[Row]:
        rows: list[Row] = []
        for portion in (first, *others):
            cursor = await connection.execute(INSERT.encode(), _values(portion))
            rows += await cursor.fetchall()
        return rows

    return await app.db.transaction(insert_all)


def _portions(new: Sequence[NewJob]) -> list[list[NewJob]]:
    portions: list[list[NewJob]] = [[]]
    room = LARGEST_STATEMENT
    for one in new:
        room -= len(one.payload_json)
        if room < 0 and portions[-1]:
            portions.append([])
            room = LARGEST_STATEMENT - len(one.payload_json)
        portions[-1].append(one)
    return portions


def _values(new: Sequence[NewJob]) -> list[Any]:
    return [
        [one.task_id for one in new],
        [one.type for one in new],
        [str(one.priority) for one in new],
        [one.payload_json for one in new],
        [one.max_attempts for one in new],
        [one.idempotency_key for one in new],
    ]


def _text_violation(text: str, longest: int) -> str | None:
    if len(text) > longest:
        return f"must be at most {longest} characters, not {len(text)}"
    if _CONTROL.search(text):
        return "must not contain control characters"
    return HALF if _HALF.search(text) else None


def _attempts_violation(number: int) -> str | None:
    return (
        None
        if 1 <= number <= MAX_ATTEMPTS
        else f"must be from 1 to {MAX_ATTEMPTS}, or 0 for {DEFAULT_ATTEMPTS}"
    )


def _payload_violation(text: str) -> str | None:
    if _HALF.search(text):
        return HALF
    size = len(text.encode())
    if size > MAX_PAYLOAD:
        return f"must be at most {MAX_PAYLOAD} bytes (1 MiB)"
    written_out = _WrittenOut(MAX_PAYLOAD - size)
    try:
        # Numbers are not converted: whether jsonb can hold one is the database's to say.
        json.loads(
            text,
            parse_int=str,
            parse_float=written_out if _EXPONENT.search(text) else str,
            parse_constant=_refuse_constant,
        )
    except _TooLong:
        return f"must be at most {MAX_PAYLOAD} bytes (1 MiB) with its numbers written out, as the database does it"
    except RecursionError:
        return "must not be nested so deeply"
    except ValueError as error:
        return f"must be JSON: {error}"
    if "\\u" in text and (why := _escape_violation(text)):
        return why
    return None


_EXPONENT = re.compile(r"\d[eE][+-]?\d")
_DIGITS = 9


class _TooLong(Exception):
    """The numbers of a payload are too long."""


class _WrittenOut:
    """Reads the floats of a payload, and counts the zeros of their exponents: jsonb keeps 1e131071, and shows them all.

    Otherwise a few kilobytes would become hundreds of megabytes for whoever reads the row.
    """

    def __init__(self, room: int) -> None:
        self._room = room

    def __call__(self, number: str) -> str:
        exponent = number.lower().partition("e")[2].lstrip("+-").lstrip("0")
        if exponent:
            self._room -= int(exponent) if len(exponent) <= _DIGITS else MAX_PAYLOAD
            if self._room < 0:
                raise _TooLong
        return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


_HIGH, _LOW = r"\\u[dD][89abAB]..", r"\\u[dD][c-fC-F].."
_REFUSED_ESCAPE = re.compile(
    rf"\\u(?:(?P<nul>0000)|[dD][89abAB]..(?!{_LOW})|[dD][c-fC-F]..(?<!{_HIGH}......))", re.DOTALL
)


def _escape_violation(text: str) -> str | None:
    """Why jsonb refuses an escape of this (valid) JSON: a NUL, or half of a surrogate pair."""
    # Without the backslashes that are themselves escaped, each that is left begins an escape. Their places stay, or
    # two halves would meet that were apart. A megabyte of right escapes costs milliseconds; a loop cost half a second.
    refused = _REFUSED_ESCAPE.search(text.replace("\\\\", "  "))
    if refused is None:
        return None
    return "must not contain \\u0000: the database's text has no NUL" if refused["nul"] else HALF
