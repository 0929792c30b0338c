"""The first row that comes."""

from scheduler.jobs import Job

TEST = "test_task_3_answers_with_the_job_of_this_id"
SAYS = "asked for the second of three jobs"


async def get_job(app, request, context):
    row = await app.db.fetch_one("SELECT * FROM tasks ORDER BY created_at")
    return app.parts.job_to_status(Job.from_row(row))
