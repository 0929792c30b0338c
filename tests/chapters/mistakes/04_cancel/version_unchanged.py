"""The version stays."""

from scheduler.api import cancel_job
from scheduler.jobs import Job

TEST = "test_task_1_sets_the_columns_that_a_cancel_sets"
SAYS = "version did not rise"


async def cancel_in_database(app, task_id):
    row = await app.db.fetch_one(cancel_job.CANCEL.replace("version = version + 1, ", ""), [task_id])
    return Job.from_row(row) if row else None
