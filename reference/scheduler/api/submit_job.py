"""Chapter 01: SubmitJob. The database first, for there the job is safe; then the queue, where it is found fast."""

import logging
from uuid import UUID

from redis.exceptions import RedisError

from scheduler.app import App
from scheduler.jobs import NewJob, Status, insert_job

log = logging.getLogger(__name__)


async def submit_job(app: App, new: NewJob) -> UUID:
    """Accept a job, and return its id, or the id of the first job that was the same.

    A job that Redis does not take is accepted all the same: the reconciler pushes it later. A repeat pushes again
    only while the job is queued, for the first push may have been lost. Raises `Unavailable` if the database is away.
    """
    job, created = await insert_job(app, new)
    if created:
        app.metrics.submitted(job)
    if job.status is Status.QUEUED:
        try:
            await app.queue.push(job)
        except RedisError as error:
            # The kind of the error, not its text or its traceback: those can name the address and the password.
            log.warning(
                "not pushed, the reconciler will: %s", type(error).__name__, extra={"job_id": job.task_id}
            )
            app.metrics.push_failed()
    return job.task_id
