"""Who could not look says that there is nothing."""

from uuid import UUID

import psycopg
from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row

TEST = "test_task_5_answers_unavailable_when_the_database_is_away"
SAYS = "nobody looked, so nobody knows"


async def get_job(app, request, context):
    task_id = UUID(request.job_id)
    try:
        job = await get_job_row(app, task_id)
    except psycopg.OperationalError:
        job = None
    if job is None:
        raise JobNotFound(task_id)
    return app.parts.job_to_status(job)
