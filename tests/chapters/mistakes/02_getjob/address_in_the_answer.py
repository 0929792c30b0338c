"""The answer helps the client with the database's address."""

from uuid import UUID

import grpc
import psycopg
from scheduler.jobs import get_job_row

TEST = "test_task_5_shows_nobody_where_the_database_is"
SAYS = "shows the client something of the inside"


async def get_job(app, request, context):
    try:
        job = await get_job_row(app, UUID(request.job_id))
    except psycopg.OperationalError as error:
        where = app.settings.database_conninfo()
        await context.abort(grpc.StatusCode.UNAVAILABLE, f"can't reach {where}: {error}")
    return app.parts.job_to_status(job)
