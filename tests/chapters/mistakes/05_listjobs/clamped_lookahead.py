"""One row more than the page is asked for, and then cut to 1,000: a page of 1,000 is the last one."""

import base64
import binascii
import hashlib
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from scheduler.app import App
from scheduler.errors import Context, InvalidRequest, Violation
from scheduler.jobs import Job, Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

STATES = {pb.JobState.Value(f"JOB_STATE_{s.name}"): str(s) for s in Status}
PRIORITIES = {pb.Priority.Value(f"PRIORITY_{p.name}"): str(p) for p in Priority}

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "1,001 jobs"


async def list_jobs(app: App, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
    size = app.parts.page_size(request.page_size)
    conditions, values = [], []
    if request.state_filter:
        if request.state_filter not in STATES:
            await app.errors.invalid(context, "state_filter", "must be a state")
        conditions.append("status = %s")
        values.append(STATES[request.state_filter])
    if request.priority_filter:
        if request.priority_filter not in PRIORITIES:
            await app.errors.invalid(context, "priority_filter", "must be a priority")
        conditions.append("priority = %s")
        values.append(PRIORITIES[request.priority_filter])
    if request.type_filter:
        if why := type_violation(request.type_filter):
            await app.errors.invalid(context, "type_filter", why)
        conditions.append("type = %s")
        values.append(request.type_filter)
    where = "WHERE " + " AND ".join(conditions) if conditions else ""
    offset = int(request.page_token or 0)
    rows = await app.db.fetch_all(
        f"SELECT * FROM tasks {where} ORDER BY created_at DESC, task_id DESC LIMIT %s OFFSET %s",
        [*values, min(size + 1, 1_000), offset],
    )
    more = len(rows) > size
    jobs = [app.parts.job_to_status(Job.from_row(row)) for row in rows[:size]]
    return pb.ListJobsResponse(jobs=jobs, next_page_token=str(offset + size) if more else "")
