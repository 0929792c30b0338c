"""One statement that never changes: a filter that is NULL holds for every row. The place is compared in two steps; the
token is JSON in hexadecimal, with the filters in it."""

import json
from datetime import datetime
from uuid import UUID

from scheduler.errors import InvalidRequest, Violation
from scheduler.jobs import Job, Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [1, 2, 3, 4, 5, 6]

LIST = """
    SELECT * FROM tasks
    WHERE (%(status)s::text IS NULL OR status = %(status)s)
      AND (%(priority)s::text IS NULL OR priority = %(priority)s)
      AND (%(type)s::text IS NULL OR type = %(type)s)
      AND (%(time)s::timestamptz IS NULL OR created_at < %(time)s OR (created_at = %(time)s AND task_id < %(id)s))
    ORDER BY created_at DESC, task_id DESC
    LIMIT %(limit)s
"""


def page_size(requested):
    if requested >= 0:
        return sorted([1, requested or 50, 1_000])[1]
    raise InvalidRequest([Violation("page_size", "must be 0 or more")])


def known(words, number, field):
    try:
        return None if number == 0 else list(words)[number - 1 if number > 0 else 99].value
    except IndexError:
        raise InvalidRequest([Violation(field, "must be known to the API")]) from None


async def list_jobs(app, request, context):
    filters = {
        "status": known(Status, request.state_filter, "state_filter"),
        "priority": known(Priority, request.priority_filter, "priority_filter"),
        "type": request.type_filter or None,
    }
    if filters["type"] and type_violation(filters["type"]):
        raise InvalidRequest([Violation("type_filter", "must be a type")])
    time = task_id = None
    if request.page_token:
        time, task_id = read(request.page_token, filters)
    size = app.parts.page_size(request.page_size)
    rows = await app.db.fetch_all(LIST, {**filters, "time": time, "id": task_id, "limit": size})
    token = ""
    if len(rows) == size:
        last = {**filters, "time": str(rows[-1]["created_at"]), "id": rows[-1]["task_id"].hex}
        token = json.dumps(last).encode().hex()
    return pb.ListJobsResponse(
        jobs=[app.parts.job_to_status(Job.from_row(row)) for row in rows], next_page_token=token
    )


def read(token, filters):
    try:
        given = json.loads(bytes.fromhex(token).decode())
        time, task_id = datetime.fromisoformat(given.pop("time")), UUID(hex=given.pop("id"))
    except Exception:
        given = time = task_id = None
    if given != filters or time is None or time.tzinfo is None:
        raise InvalidRequest([Violation("page_token", "must come from a page with the same filters")])
    return time, task_id
