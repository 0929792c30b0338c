"""Chapter 05: ListJobs. Filters that compose, and pages that neither skip nor repeat a job while others arrive.

A page token is a bookmark: the `created_at` and `task_id` of the last job on the page. The next page begins right below
it in the index, so page 1,000 costs what page 1 costs; OFFSET would read and throw away all that came before.
"""

import base64
import binascii
import hashlib
import struct
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from scheduler.app import App
from scheduler.errors import Context, InvalidRequest, Violation
from scheduler.jobs import COLUMNS, Job, Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

DEFAULT_PAGE = 50
LARGEST_PAGE = 1_000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

STATUSES: dict[int, Status] = {pb.JobState.Value(f"JOB_STATE_{status.name}"): status for status in Status}
PRIORITIES: dict[int, Priority] = {
    pb.Priority.Value(f"PRIORITY_{priority.name}"): priority for priority in Priority
}


class Position(NamedTuple):
    """Where a page ended: the last job that it showed."""

    created_at: datetime
    task_id: UUID


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
    conditions, params = _conditions(request)
    if request.page_token:
        conditions.append("(created_at, task_id) < (%s, %s)")
        params += _read_token(request)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    # One row more than the page holds tells whether there is a next page.
    sql = f"SELECT {COLUMNS} FROM tasks {where} ORDER BY created_at DESC, task_id DESC LIMIT %s"
    jobs = [Job.from_row(row) for row in await app.db.fetch_all(sql, [*params, size + 1])]
    page = jobs[:size]
    return pb.ListJobsResponse(
        jobs=[app.parts.job_to_status(job) for job in page],
        next_page_token=_write_token(request, page[-1]) if len(jobs) > size else "",
    )


def _conditions(request: pb.ListJobsRequest) -> tuple[list[str], list[Any]]:
    """The WHERE clause's parts, and a parameter for each of them, in step."""
    conditions: list[str] = []
    params: list[Any] = []
    if request.state_filter != pb.JOB_STATE_UNSPECIFIED:
        conditions.append("status = %s")
        params.append(str(_known(STATUSES, request.state_filter, "state_filter")))
    if request.priority_filter != pb.PRIORITY_UNSPECIFIED:
        conditions.append("priority = %s")
        params.append(str(_known(PRIORITIES, request.priority_filter, "priority_filter")))
    if request.type_filter:
        if why := type_violation(request.type_filter):
            raise InvalidRequest([Violation("type_filter", why)])
        conditions.append("type = %s")
        params.append(request.type_filter)
    return conditions, params


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
