"""SQL does the comparing: a look asks for the row only if its version is higher. The looks are transactions."""

import asyncio

from scheduler.errors import JobNotFound
from scheduler.jobs import Job, parse_job_id

TASKS = [2, 3, 4, 5, 6]

LOOK = """
    SELECT t.*, t.version > %s AS is_new FROM tasks AS t WHERE t.task_id = %s FOR SHARE
"""


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    newest = request.after_version
    while (row := await app.db.transaction(look(newest, task_id))) is not None:
        if row["is_new"]:
            job = Job.from_row(row)
            yield app.parts.to_event(job)
            newest = job.version
        if row["finished_at"]:
            return
        await asyncio.sleep(app.settings.watch_poll_seconds)
    raise JobNotFound(task_id)


def look(newest, task_id):
    async def work(connection):
        cursor = await connection.execute(LOOK, (newest, task_id))
        return await cursor.fetchone()

    return work
