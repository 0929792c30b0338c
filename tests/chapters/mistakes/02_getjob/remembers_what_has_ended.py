"""Jobs that have ended are kept, and a failed one may be requeued."""

from uuid import UUID

from scheduler.jobs import get_job_row

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "GetJob of a queued job that was failed when an earlier GetJob asked for it, state"

ended = {}


async def get_job(app, request, context):
    task_id = UUID(request.job_id)
    job = ended.get(task_id) or await get_job_row(app, task_id)
    if job.status.is_terminal:
        ended[task_id] = job
    return app.parts.job_to_status(job)
