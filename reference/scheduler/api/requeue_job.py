"""RequeueJob: a failed or dead-lettered job runs again, with at least one attempt more."""

import logging

from redis.exceptions import RedisError

from scheduler.app import App
from scheduler.errors import Context, JobNotFound
from scheduler.hints import dead_letters
from scheduler.jobs import COLUMNS, Job, Status, change_job, find_job, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

log = logging.getLogger(__name__)

# attempts is the fence and never falls, so max_attempts rises instead.
REQUEUE = f"""
    UPDATE tasks
    SET status = 'queued', max_attempts = GREATEST(max_attempts, attempts + 1), finished_at = NULL,
        queued_at = now(), pushed_at = now(), version = version + 1, updated_at = now()
    WHERE task_id = %s AND status IN ('failed', 'deadletter')
    RETURNING {COLUMNS}
"""


async def requeue_job(app: App, request: pb.RequeueJobRequest, context: Context) -> pb.RequeueJobResponse:
    """Answer true if this call queued the job again, false if it was neither failed nor dead-lettered.

    Raises `InvalidRequest` for a malformed id and `JobNotFound` for an unknown one.
    """
    task_id = parse_job_id(request.job_id)
    job = await change_job(app, task_id, REQUEUE, Status.QUEUED)
    if job is None:
        if await find_job(app, task_id) is None:
            raise JobNotFound(task_id)
        return pb.RequeueJobResponse(requeued=False)
    app.hints.changed([task_id])
    await app.see_through(_push(app, job))
    return pb.RequeueJobResponse(requeued=True)


async def _push(app: App, job: Job) -> None:
    try:
        await app.queue.push(job)
        view = app.hints.key(dead_letters(job.priority))
        await app.queue.redis.lrem(view, 0, app.parts.encode_entry(job))  # type: ignore[arg-type]
    except RedisError as error:
        log.warning(
            "not pushed, the reconciler will: %s", type(error).__name__, extra={"job_id": job.task_id}
        )
        app.metrics.push_failed()
