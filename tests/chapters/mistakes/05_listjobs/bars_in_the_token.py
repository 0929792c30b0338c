"""The parts of a token stand between bars, and a type may have one in it: the server refuses its own token."""

from scheduler.jobs import Job, Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

STATUSES = {pb.JobState.Value(f"JOB_STATE_{status.name}"): status.value for status in Status}
PRIORITIES = {pb.Priority.Value(f"PRIORITY_{priority.name}"): priority.value for priority in Priority}


TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "with type_filter='a|b' and the token of page 1"


async def list_jobs(app, request, context):
    size = app.parts.page_size(request.page_size)
    where, params = ["true"], []
    if request.state_filter:
        if request.state_filter not in STATUSES:
            await app.errors.invalid(context, "state_filter", "must be a state")
        where.append("status = %s")
        params.append(STATUSES[request.state_filter])
    if request.priority_filter:
        if request.priority_filter not in PRIORITIES:
            await app.errors.invalid(context, "priority_filter", "must be a priority")
        where.append("priority = %s")
        params.append(PRIORITIES[request.priority_filter])
    if request.type_filter:
        if why := type_violation(request.type_filter):
            await app.errors.invalid(context, "type_filter", why)
        where.append("type = %s")
        params.append(request.type_filter)
    offset = 0
    if request.page_token:
        try:
            place, type = request.page_token.split("|")
            offset = int(place)
        except ValueError:
            await app.errors.invalid(context, "page_token", "must be the next_page_token of an earlier page")
        if type != request.type_filter:
            await app.errors.invalid(context, "page_token", "must be used with its filters")
    sql = f"""SELECT * FROM tasks WHERE {" AND ".join(where)}
        ORDER BY created_at DESC, task_id DESC LIMIT %s OFFSET %s"""
    rows = await app.db.fetch_all(sql, [*params, size + 1, offset])
    return pb.ListJobsResponse(
        jobs=[app.parts.job_to_status(Job.from_row(row)) for row in rows[:size]],
        next_page_token=f"{offset + size}|{request.type_filter}" if len(rows) > size else "",
    )
