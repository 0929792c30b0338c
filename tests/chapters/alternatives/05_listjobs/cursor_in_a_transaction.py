"""Rows are read one by one with `async for`, in a transaction, until the page is full and one row more is there; the
statement is composed with psycopg's `sql`, and the token is signed."""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta, timezone
from uuid import UUID

from psycopg import sql
from scheduler.jobs import Job, Priority, Status, type_violation
from scheduler.v1 import scheduler_pb2 as pb

TASKS = [2, 3, 4, 5, 6]

KEY = b"for these tests"
STATES = {getattr(pb, f"JOB_STATE_{status.name}"): status for status in Status}
PRIORITIES = {getattr(pb, f"PRIORITY_{priority.name}"): priority for priority in Priority}
START = datetime(2000, 1, 1, tzinfo=timezone.utc)


async def list_jobs(app, request, context):
    conditions = []
    for field, column, words in (
        ("state_filter", "status", STATES),
        ("priority_filter", "priority", PRIORITIES),
    ):
        number = getattr(request, field)
        if number and number not in words:
            await app.errors.invalid(context, field, "must be one of the API's")
        if number:
            conditions.append(sql.SQL("{} = {}").format(sql.Identifier(column), words[number].value))
    if request.type_filter:
        if why := type_violation(request.type_filter):
            await app.errors.invalid(context, "type_filter", why)
        conditions.append(sql.SQL("type = {}").format(request.type_filter))
    if request.page_token:
        place = read(request)
        if place is None:
            await app.errors.invalid(context, "page_token", "must be the one that this list gave")
        conditions.append(
            sql.SQL("(task_id, created_at) IS NOT NULL AND (created_at, task_id) < ({}, {})").format(*place)
        )
    statement = sql.SQL("SELECT * FROM tasks WHERE {} ORDER BY created_at DESC, task_id DESC").format(
        sql.SQL(" AND ").join(conditions or [sql.SQL("true")])
    )
    size = app.parts.page_size(request.page_size)

    async def read_page(connection):
        page = []
        async with connection.cursor(name="page") as cursor:
            await cursor.execute(statement)
            async for row in cursor:
                if len(page) == size:
                    return page, True
                page.append(Job.from_row(row))
        return page, False

    page, more = await app.db.transaction(read_page)
    answer = pb.ListJobsResponse(next_page_token=write(request, page[-1]) if more else "")
    answer.jobs.extend(app.parts.job_to_status(job) for job in page)
    return answer


def sign(request, place):
    filters = pb.ListJobsRequest()
    filters.CopyFrom(request)
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    return hmac.digest(KEY, place + filters.SerializeToString(deterministic=True), hashlib.sha256)[:12]


def write(request, job):
    place = ((job.created_at - START) // timedelta(microseconds=1)).to_bytes(
        8, "big", signed=True
    ) + job.task_id.bytes
    return base64.b32encode(place + sign(request, place)).decode()


def read(request):
    try:
        raw = base64.b32decode(request.page_token)
    except ValueError:
        return None
    place = raw[:24]
    if len(raw) != 36 or not hmac.compare_digest(raw[24:], sign(request, place)):
        return None
    return START + timedelta(microseconds=int.from_bytes(place[:8], "big", signed=True)), UUID(
        bytes=place[8:]
    )
