"""Whatever row another transaction has locked is left out of the list."""

from scheduler.jobs import Job, Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

STATUSES = {pb.JobState.Value(f"JOB_STATE_{status.name}"): status.value for status in Status}
PRIORITIES = {pb.Priority.Value(f"PRIORITY_{priority.name}"): priority.value for priority in Priority}


TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "a transaction that is open writes to job 1 that it is running"


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
    try:
        offset = int(request.page_token or "0")
    except ValueError:
        await app.errors.invalid(context, "page_token", "must be the next_page_token of an earlier page")
    sql = f"""SELECT * FROM tasks WHERE {" AND ".join(where)}
        ORDER BY created_at DESC, task_id DESC LIMIT %s OFFSET %s FOR SHARE SKIP LOCKED"""
    rows = await app.db.fetch_all(sql, [*params, size + 1, offset])
    return pb.ListJobsResponse(
        jobs=[app.parts.job_to_status(Job.from_row(row)) for row in rows[:size]],
        next_page_token=str(offset + size) if len(rows) > size else "",
    )
