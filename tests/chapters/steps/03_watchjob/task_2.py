from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id


async def watch_job(app, request, context):
    task_id = parse_job_id(request.job_id)
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    yield app.parts.to_event(job)
