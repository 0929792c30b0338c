"""An OFFSET whose page says by a window function how many jobs there are; the token carries a hash of the filters."""

import hashlib

from scheduler.jobs import Job, Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [2, 3, 4, 6]

STATES = ["", "queued", "running", "succeeded", "failed", "deadletter", "cancelled", "retry"]
PRIORITIES = ["", *Priority]


def digest(request, place):
    text = repr((place, request.state_filter, request.priority_filter, request.type_filter))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


async def list_jobs(app, request, context):
    size = app.parts.page_size(request.page_size)
    if not 0 <= request.state_filter < len(STATES):
        await app.errors.invalid(context, "state_filter", "must be a state")
    if not 0 <= request.priority_filter < len(PRIORITIES):
        await app.errors.invalid(context, "priority_filter", "must be a priority")
    if request.type_filter and (why := type_violation(request.type_filter)):
        await app.errors.invalid(context, "type_filter", why)
    place = 0
    if request.page_token:
        number, _, mark = request.page_token.partition(".")
        if not (number.isascii() and number.isdigit()) or mark != digest(request, int(number)):
            await app.errors.invalid(context, "page_token", "must be one of this list's")
        place = int(number)
    wanted = {
        "status": STATES[request.state_filter],
        "priority": str(PRIORITIES[request.priority_filter]),
        "type": request.type_filter,
    }
    wanted = {column: value for column, value in wanted.items() if value}
    where = " AND ".join([f"{column} = %s" for column in wanted] or ["1 = 1"])
    rows = await app.db.fetch_all(
        f"SELECT *, count(*) OVER () AS total FROM tasks WHERE {where} "
        "ORDER BY created_at DESC, task_id DESC OFFSET %s FETCH FIRST %s ROWS ONLY",
        [*wanted.values(), place, size],
    )
    place += len(rows)
    more = bool(rows) and place < rows[0]["total"]
    return pb.ListJobsResponse(
        jobs=map(app.parts.job_to_status, map(Job.from_row, rows)),
        next_page_token=f"{place}.{digest(request, place)}" if more else "",
    )
