"""The errors are raised and the server turns them into statuses; calls that come at once share one statement."""

from scheduler.errors import InvalidRequest, JobNotFound, Violation
from scheduler.jobs import Job, parse_job_id

TASKS = [3, 4, 5]


async def read_rows(app, ids):
    rows = await app.db.fetch_all("SELECT * FROM tasks WHERE task_id = ANY(%s)", [ids])
    jobs = {row["task_id"]: Job.from_row(row) for row in rows}
    return [jobs.get(task_id) for task_id in ids]


async def get_job(app, request, context):
    if not request.job_id:
        raise InvalidRequest([Violation("job_id", "must not be empty")])
    task_id = parse_job_id(request.job_id)
    job = await app.together(read_rows, task_id)
    if job is None:
        raise JobNotFound(task_id)
    return app.parts.job_to_status(job)
