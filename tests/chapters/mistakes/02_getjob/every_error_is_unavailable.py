"""Every error of psycopg counts as the database being away."""

from uuid import UUID

import grpc
import psycopg
from scheduler.jobs import get_job_row

TEST = "test_task_5_calls_nothing_unavailable_but_a_database_that_is_away"
SAYS = "Only psycopg.OperationalError means"


async def get_job(app, request, context):
    try:
        job = await get_job_row(app, UUID(request.job_id))
    except psycopg.Error:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the database is away; call again")
    return app.parts.job_to_status(job)
