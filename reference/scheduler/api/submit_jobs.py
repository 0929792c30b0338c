"""SubmitJobs: up to a thousand jobs with one INSERT and one round trip to Redis. All of them, or none."""

import logging
from collections.abc import Sequence
from uuid import UUID

from redis.exceptions import RedisError

from scheduler.app import App
from scheduler.database import is_data_error
from scheduler.errors import InvalidRequest, Violation
from scheduler.jobs import DATABASE_REFUSES, NewJob, Status, insert_jobs

log = logging.getLogger(__name__)


async def submit_jobs(app: App, new: Sequence[NewJob]) -> list[UUID]:
    """Accept all these jobs, and return their ids in the same order; otherwise as `submit_job`."""
    if not new:
        return []
    return await app.see_through(_accept(app, new))


async def _accept(app: App, new: Sequence[NewJob]) -> list[UUID]:
    try:
        answers = await insert_jobs(app, new)
    except Exception as error:
        if is_data_error(error):
            raise InvalidRequest(await _refused(app, new)) from None
        raise
    for job, created in answers:
        if created:
            app.metrics.submitted(job)
    waiting = {job.task_id: job for job, _ in answers if job.status is Status.QUEUED}
    try:
        await app.queue.push_many(list(waiting.values()))
    except RedisError as error:
        log.warning("%d jobs not pushed, the reconciler will: %s", len(waiting), type(error).__name__)
        app.metrics.push_failed(len(waiting))
    return [job.task_id for job, _ in answers]


async def _refused(app: App, new: Sequence[NewJob]) -> list[Violation]:
    """Which of the payloads the database can't hold."""
    found = []
    for position, one in enumerate(new):
        try:
            await app.db.fetch_one("SELECT %s::jsonb IS NULL", [one.payload_json])
        except Exception as error:
            if not is_data_error(error):
                raise
            found.append(Violation(f"jobs[{position}].payload_json", DATABASE_REFUSES))
    return found
