import logging

from redis.exceptions import RedisError
from scheduler.errors import JobNotFound
from scheduler.jobs import get_job_row, parse_job_id
from scheduler.v1 import scheduler_pb2 as pb
from workbook.loader import earlier

log = logging.getLogger(__name__)
cancel_in_database = earlier("cancel_in_database")
remove_entry = earlier("remove_entry")


async def cancel_job(app, request, context):
    # Looks first: right as long as nobody else touches the job in between.
    task_id = parse_job_id(request.job_id)
    job = await get_job_row(app, task_id)
    if job is None:
        raise JobNotFound(task_id)
    if job.status.is_terminal:
        return pb.CancelJobResponse(cancelled=False)
    await cancel_in_database(app, task_id)
    app.hints.changed([task_id])
    try:
        await remove_entry(app, job)
    except RedisError as error:
        log.warning("the entry of %s stays: %s", task_id, type(error).__name__)
    return pb.CancelJobResponse(cancelled=True)
