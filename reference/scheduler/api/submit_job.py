"""Chapter 01: SubmitJob. The database first, for there the job is safe; then the queue, where it is found fast."""

import asyncio
import logging
from uuid import UUID

from redis.exceptions import RedisError

from scheduler.app import App
from scheduler.jobs import Job, NewJob, Status, insert_jobs, payload_errors

log = logging.getLogger(__name__)


async def submit_job(app: App, new: NewJob) -> UUID:
    """Accept a job, and return its id, or the id of the first job that was the same.

    A job that Redis does not take is accepted all the same: the reconciler pushes it later. A repeat pushes again
    only while the job is queued, for the first push may have been lost. Raises `Unavailable` if the database is away.
    """
    with payload_errors():
        task_id, pushed = await app.together(_accept, new, size=len(new.payload_json))
    await asyncio.shield(pushed)
    return task_id


async def _accept(app: App, new: list[NewJob]) -> "list[tuple[UUID, asyncio.Task[None]]]":
    answers = await insert_jobs(app, new)
    # What was inserted is pushed, whoever has left by now.
    return [(job.task_id, app.begin(_push(app, job, created))) for job, created in answers]


async def _push(app: App, job: Job, created: bool) -> None:
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
