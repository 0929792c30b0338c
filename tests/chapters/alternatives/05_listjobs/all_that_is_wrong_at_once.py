"""One statement for all filters, and a refusal that names every field that is wrong."""

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
import re

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SQL = """
    SELECT * FROM tasks
    WHERE (%s::text IS NULL OR status = %s) AND (%s::text IS NULL OR priority = %s) AND (%s::text IS NULL OR type = %s)
      AND (created_at, task_id) < (coalesce(%s::timestamptz, 'infinity'), coalesce(%s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    ORDER BY created_at DESC, task_id DESC LIMIT %s
"""
TOKEN = re.compile(r"([0-9a-f]{1,14})-([0-9a-f]{32})-([0-9a-f]{24})")

TASKS = [2, 3, 4, 5, 6]


async def list_jobs(app: App, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
    size = app.parts.page_size(request.page_size)
    wrong = []
    if request.state_filter and request.state_filter not in STATES:
        wrong.append(Violation("state_filter", "must be a state"))
    if request.priority_filter and request.priority_filter not in PRIORITIES:
        wrong.append(Violation("priority_filter", "must be a priority"))
    if request.type_filter and (why := type_violation(request.type_filter)):
        wrong.append(Violation("type_filter", why))
    if wrong:
        raise InvalidRequest(wrong)
    book = pb.ListJobsRequest(
        state_filter=request.state_filter,
        priority_filter=request.priority_filter,
        type_filter=request.type_filter,
    )
    digest = hashlib.sha256(book.SerializeToString(deterministic=True)).hexdigest()[:24]
    when = which = None
    if request.page_token:
        match = TOKEN.fullmatch(request.page_token)
        if match is None or match[3] != digest:
            raise InvalidRequest([Violation("page_token", "must be this list's")])
        when, which = EPOCH + timedelta(microseconds=int(match[1], 16)), UUID(match[2])
    state, priority = STATES.get(request.state_filter), PRIORITIES.get(request.priority_filter)
    kind = request.type_filter or None
    rows = await app.db.fetch_all(SQL, [state, state, priority, priority, kind, kind, when, which, size + 1])
    token = ""
    if len(rows) > size:
        last = rows[size - 1]
        token = (
            f"{(last['created_at'] - EPOCH) // timedelta(microseconds=1):x}-{last['task_id'].hex}-{digest}"
        )
    return pb.ListJobsResponse(
        jobs=map(app.parts.job_to_status, map(Job.from_row, rows[:size])), next_page_token=token
    )
