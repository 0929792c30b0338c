"""The time is a number of microseconds that the database counts itself; the token is text, and its filters are words."""

from uuid import UUID

from scheduler.errors import InvalidRequest, Violation
from scheduler.jobs import Job, Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [1, 2, 3, 4, 5, 6]

MICROSECONDS = "(extract(epoch FROM created_at) * 1000000)::bigint"


def page_size(requested):
    if requested < 0:
        raise InvalidRequest([Violation("page_size", "must not be below 0")])
    return 50 if not requested else 1_000 if requested > 1_000 else requested


def wrong(field, why="must be right"):
    raise InvalidRequest([Violation(field, why)])


async def list_jobs(app, request, context):
    status = next((one for one in Status if app.parts.state_to_proto(one) == request.state_filter), None)
    if request.state_filter and status is None:
        wrong("state_filter")
    priorities = dict(enumerate(Priority, 1))
    priority = priorities.get(request.priority_filter)
    if request.priority_filter and priority is None:
        wrong("priority_filter")
    if request.type_filter and type_violation(request.type_filter):
        wrong("type_filter")
    pairs = [("status", status), ("priority", priority), ("type", request.type_filter)]
    pairs = [(column, str(value)) for column, value in pairs if value]
    conditions = [f"{column} = %s" for column, _ in pairs]
    params = [value for _, value in pairs]
    if request.page_token:
        micros, task_id = read(request.page_token, pairs)
        conditions.append(f"({MICROSECONDS}, task_id) < (%s, %s)")
        params += [micros, task_id]
    params.append(app.parts.page_size(request.page_size) + 1)
    rows = await app.db.fetch_all(
        f"SELECT *, {MICROSECONDS} AS micros FROM tasks {'WHERE ' if conditions else ''}{' AND '.join(conditions)} "
        "ORDER BY created_at DESC, task_id DESC LIMIT %s",
        params,
    )
    token = ""
    if len(rows) == params[-1]:
        rows.pop()
        token = f"{rows[-1]['micros']} {rows[-1]['task_id']} {pairs}"
    jobs = [app.parts.job_to_status(Job.from_row(row)) for row in rows]
    return pb.ListJobsResponse(jobs=jobs, next_page_token=token)


def read(token, pairs):
    parts = token.split(" ", 2)
    if len(parts) != 3 or parts[2] != str(pairs):
        wrong("page_token", "must be this list's")
    try:
        micros, task_id = int(parts[0]), UUID(parts[1])
    except ValueError:
        wrong("page_token", "must be whole")
    if abs(micros) > 2**60:
        wrong("page_token", "must be whole")
    return micros, task_id
