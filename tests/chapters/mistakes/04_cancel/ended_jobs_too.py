"""The WHERE asks for nothing but the id."""

from scheduler.api import cancel_job
from scheduler.jobs import Job

TEST = "test_task_1_leaves_a_job_that_has_ended"
SAYS = "the WHERE must ask for the status"


async def cancel_in_database(app, task_id):
    sql = cancel_job.CANCEL.replace("AND status IN ('queued', 'retry', 'running')", "")
    row = await app.db.fetch_one(sql, [task_id])
    return Job.from_row(row) if row else None
