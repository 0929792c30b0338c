"""The answer keeps the secret, and the log does not."""

import logging
from uuid import UUID

import psycopg
from scheduler.jobs import get_job_row

TEST = "test_task_5_shows_nobody_where_the_database_is"
SAYS = "the log shows the password"


async def get_job(app, request, context):
    try:
        job = await get_job_row(app, UUID(request.job_id))
    except psycopg.OperationalError:
        logging.warning("can't reach %s", app.settings.database_conninfo())
        raise
    return app.parts.job_to_status(job)
