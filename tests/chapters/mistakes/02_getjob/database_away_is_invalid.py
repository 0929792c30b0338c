"""One except for whatever may go wrong with the id."""

from uuid import UUID

from scheduler.jobs import get_job_row

TEST = "test_task_5_answers_unavailable_when_the_database_is_away"
SAYS = "what does your except catch?"


async def get_job(app, request, context):
    try:
        job = await get_job_row(app, UUID(request.job_id))
    except Exception:
        await app.errors.invalid(context, "job_id", "must be a UUID")
    return app.parts.job_to_status(job)
