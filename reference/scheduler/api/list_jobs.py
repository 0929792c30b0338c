"""Chapter 05: ListJobs. Filters that compose, and pages that neither skip nor repeat a job while others arrive.

A page token is a bookmark: the `created_at` and `task_id` of the last job on the page. The next page begins right below
it in the index, so page 1,000 costs what page 1 costs; OFFSET would read and throw away all that came before.

Each list is read in the order of an index, so that a page costs what it shows, however rare its jobs are:

    no filter, a state, a type     one index each: created_at is the column after the filter's
    a priority, with or without    an index of priority, state, created_at, and one with the type before them: for each
    others; a state and a type     state (or priority) that is not asked for, the newest rows, and the newest of those
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from scheduler.app import App
from scheduler.errors import Context, InvalidRequest, Violation
from scheduler.jobs import COLUMNS, Job, Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

DEFAULT_PAGE = 50
LARGEST_PAGE = 1_000
PAGE_BYTES = 3 * 1024 * 1024
"""No page is larger, whatever its jobs say: an ordinary client takes messages of 4 MiB."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

STATUSES: dict[int, Status] = {pb.JobState.Value(f"JOB_STATE_{status.name}"): status for status in Status}
PRIORITIES: dict[int, Priority] = {
    pb.Priority.Value(f"PRIORITY_{priority.name}"): priority for priority in Priority
}


FILTERS = ("type", "priority", "status")
"""The columns that a list is filtered by, in the order in which they stand in the indexes."""


class Position(NamedTuple):
    """Where a page ended: the last job that it showed."""

    created_at: datetime
    task_id: UUID


ABOVE_ALL = Position(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))
BELOW_ALL = Position(datetime.min.replace(tzinfo=UTC), UUID(int=0))


def page_size(requested: int) -> int:
    """How many jobs a page holds: 50 if nothing is asked for, 1,000 at most.

    Raises `InvalidRequest` for a negative number.
    """
    if requested < 0:
        raise InvalidRequest([Violation("page_size", f"must not be negative, and is {requested}")])
    return min(requested or DEFAULT_PAGE, LARGEST_PAGE)


async def list_jobs(app: App, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
    """Answer with one page of jobs, newest first. Raises `InvalidRequest` for a filter, size or token that is wrong."""
    size = app.parts.page_size(request.page_size)
    filters = _filters(request)
    after = _read_token(request) if request.page_token else None
    # One row more than the page holds tells whether there is a next page.
    sql, params = statement(filters, after, size + 1)
    jobs = [Job.from_row(row) for row in await app.db.fetch_all(sql, params)]
    page = _within(PAGE_BYTES, [app.parts.job_to_status(job) for job in jobs[:size]])
    more = len(page) < len(jobs)
    return pb.ListJobsResponse(
        jobs=page, next_page_token=_write_token(request, jobs[len(page) - 1]) if more else ""
    )


def _within(room: int, messages: list[pb.JobStatus]) -> list[pb.JobStatus]:
    """The first of the messages, as many as fit into so many bytes, and one at least."""
    for number, message in enumerate(messages):
        room -= message.ByteSize() + 8
        if room < 0 and number > 0:
            return messages[:number]
    return messages


def statement(filters: Mapping[str, str], after: Position | None, limit: int) -> tuple[str, list[Any]]:
    """The SELECT for the newest jobs with these columns, below a position, and its parameters in step.

    Each part compares and orders by all columns of the index that it is to be read from. With plain equalities the
    planner may read the table from its newest row on, which is quick only if such jobs are among the newest.
    """
    parts: list[str] = []
    params: list[Any] = []
    for values in _runs(filters):
        names = [name for name in FILTERS if name in values]
        columns = [*names, "created_at", "task_id"]
        row = f"({', '.join(columns)})"
        places = f"({', '.join(['%s'] * len(columns))})"
        newest = ", ".join(f"{column} DESC" for column in columns)
        parts.append(
            f"SELECT {COLUMNS} FROM tasks WHERE {row} < {places} AND {row} >= {places} ORDER BY {newest} LIMIT %s"
        )
        prefix = [values[name] for name in names]
        params += [*prefix, *(after or ABOVE_ALL), *prefix, *BELOW_ALL, limit]
    if len(parts) == 1:
        return parts[0], params
    union = " UNION ALL ".join(f"({part})" for part in parts)
    newest = "created_at DESC, task_id DESC"
    return f"SELECT {COLUMNS} FROM ({union}) AS t ORDER BY {newest} LIMIT %s", [*params, limit]


def _runs(filters: Mapping[str, str]) -> list[Mapping[str, str]]:
    """The filters that together find the same rows, each of them in an unbroken run of an index."""
    if "priority" in filters and "status" not in filters:
        return [{**filters, "status": str(status)} for status in Status]
    if "type" in filters and "status" in filters and "priority" not in filters:
        return [{**filters, "priority": str(priority)} for priority in Priority]
    return [filters]


def _filters(request: pb.ListJobsRequest) -> dict[str, str]:
    """The columns that are asked for, and their values."""
    filters: dict[str, str] = {}
    if request.state_filter != pb.JOB_STATE_UNSPECIFIED:
        filters["status"] = str(_known(STATUSES, request.state_filter, "state_filter"))
    if request.priority_filter != pb.PRIORITY_UNSPECIFIED:
        filters["priority"] = str(_known(PRIORITIES, request.priority_filter, "priority_filter"))
    if request.type_filter:
        if why := type_violation(request.type_filter):
            raise InvalidRequest([Violation("type_filter", why)])
        filters["type"] = request.type_filter
    return filters


def _known(words: dict[int, Any], number: int, field: str) -> Any:
    if number not in words:
        raise InvalidRequest([Violation(field, f"must be one of the API's values, and {number} is not")])
    return words[number]


TOKEN = struct.Struct(">8sq16s")  # checksum, microseconds since 1970, task_id


def _write_token(request: pb.ListJobsRequest, last: Job) -> str:
    place = struct.pack(">q16s", (last.created_at - EPOCH) // MICROSECOND, last.task_id.bytes)
    return base64.urlsafe_b64encode(_checksum(request, place) + place).decode()


def _read_token(request: pb.ListJobsRequest) -> Position:
    try:
        token = base64.b64decode(request.page_token, altchars=b"-_", validate=True)
        checksum, microseconds, task_id = TOKEN.unpack(token)
        position = Position(EPOCH + microseconds * MICROSECOND, UUID(bytes=task_id))
    except (binascii.Error, struct.error, ValueError, OverflowError):
        raise InvalidRequest(
            [Violation("page_token", "must be the next_page_token of an earlier page")]
        ) from None
    if checksum != _checksum(request, token[8:]):
        raise InvalidRequest([Violation("page_token", "must be used with the filters that it was given for")])
    return position


def _checksum(request: pb.ListJobsRequest, place: bytes) -> bytes:
    """Ties a token to its filters. No secret: it keeps honest clients from mixing up two lists."""
    filters = f"{request.state_filter}/{request.priority_filter}/{request.type_filter}"
    return hashlib.blake2b(place + filters.encode(), digest_size=8).digest()
