"""Chapter 01, tasks 5 to 7: SubmitJob. Read README.md beside this file first."""

import logging
from uuid import UUID

from scheduler.app import App
from scheduler.jobs import NewJob

log = logging.getLogger(__name__)


async def submit_job(app: App, new: NewJob) -> UUID:
    """Task 5: insert the job, push it, and return its id.

    You are given `insert_job(app, new)`, from `scheduler.jobs`, which answers `(job, created)`, and `app.queue`,
    which is the `JobQueue` that your `connect` made. If Redis does not take the entry, log a warning, and answer as
    usual.

    Hint: which of the two must come first, so that nothing is lost whatever happens in between? And which exceptions
    does redis-py raise: are they Python's own `ConnectionError`?
    """
    raise NotImplementedError("01_queue task 5: insert the job, push it, and return its id")
