"""The statement gives nothing back."""

import re

from scheduler.api import cancel_job
from scheduler.jobs import Job

TEST = "test_task_1_returns_the_job_as_it_is_then"
SAYS = "RETURNING * gives the row back"


async def cancel_in_database(app, task_id):
    row = await app.db.fetch_one(re.sub("RETURNING .*", "", cancel_job.CANCEL), [task_id])
    return Job.from_row(row) if row else None
