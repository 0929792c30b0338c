"""time.sleep stops the whole server."""

import time

from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id

TEST = "test_task_3_leaves_the_loop_to_others"
SAYS = "time.sleep"


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    sent = 0
    while True:
        job = await get_job_row(app, task_id)
        if job is None:
            raise JobNotFound(task_id)
        if job.version != sent:
            yield app.parts.to_event(job)
            sent = job.version
        if job.status.is_terminal:
            return
        time.sleep(app.settings.watch_poll_seconds)
