from scheduler.jobs import Job, Status
from scheduler.v1 import scheduler_pb2 as pb


async def list_jobs(app, request, context):
    size = app.parts.page_size(request.page_size)
    if request.state_filter == 0:
        rows = await app.db.fetch_all("SELECT * FROM tasks LIMIT %s", [size])
    else:
        words = {pb.JobState.Value(f"JOB_STATE_{status.name}"): status.value for status in Status}
        if request.state_filter not in words:
            await app.errors.invalid(context, "state_filter", "must be a state")
        word = words[request.state_filter]
        rows = await app.db.fetch_all("SELECT * FROM tasks WHERE status = %s LIMIT %s", [word, size])
    return pb.ListJobsResponse(jobs=[app.parts.job_to_status(Job.from_row(row)) for row in rows])
