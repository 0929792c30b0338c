"""WHERE true, named parameters and an OFFSET; the token is a plain number, and the last page may be empty."""

from scheduler.errors import InvalidRequest, Violation
from scheduler.jobs import Job, Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [1, 2, 3, 4]


def page_size(requested):
    match requested:
        case 0:
            return 50
        case size if size < 0:
            raise InvalidRequest([Violation("page_size", f"is {size}, and can't be negative")])
        case size if size > 1_000:
            return 1_000
    return requested


def word(number, enum, words, field):
    name = enum.Name(number) if number in enum.values() else ""
    for one in words:
        if name.endswith("_" + one.name):
            return one.value
    raise InvalidRequest([Violation(field, "is not a value of the API")])


async def list_jobs(app, request, context):
    size = page_size(request.page_size)
    values = {"size": size, "offset": int(request.page_token) if request.page_token else 0}
    sql = "SELECT * FROM tasks WHERE true"
    if request.state_filter != pb.JOB_STATE_UNSPECIFIED:
        sql += " AND status = %(status)s"
        values["status"] = word(request.state_filter, pb.JobState, Status, "state_filter")
    if request.priority_filter != pb.PRIORITY_UNSPECIFIED:
        sql += " AND priority = %(priority)s"
        values["priority"] = word(request.priority_filter, pb.Priority, Priority, "priority_filter")
    if request.type_filter != "":
        if type_violation(request.type_filter):
            raise InvalidRequest([Violation("type_filter", "can't be a type")])
        sql += " AND type = %(type)s"
        values["type"] = request.type_filter
    sql += " ORDER BY created_at DESC, task_id DESC LIMIT %(size)s OFFSET %(offset)s"
    answer = pb.ListJobsResponse()
    for row in await app.db.fetch_all(sql, values):
        answer.jobs.append(app.parts.job_to_status(Job.from_row(row)))
    if len(answer.jobs) == size:
        answer.next_page_token = str(values["offset"] + size)
    return answer
