"""Every status is decided here, the database that is away too; a pattern says what an id is."""

import logging
import re

import grpc
import psycopg
from scheduler.jobs import get_job_row

TASKS = [3, 4, 5]

PATTERN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


async def get_job(app, request, context):
    if PATTERN.fullmatch(request.job_id) is None:
        await app.errors.invalid(context, "job_id", "must look like 123e4567-e89b-12d3-a456-426614174000")
    try:
        job = await get_job_row(app, request.job_id)
    except psycopg.OperationalError as error:
        logging.warning("GetJob: %s", type(error).__name__)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the database can't be reached; call again")
    if job is not None:
        return app.parts.job_to_status(job)
    await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such job")
