"""The whole traceback goes to the log."""

import logging

from redis.exceptions import RedisError
from scheduler.jobs import insert_job

TEST = "test_task_7_logs_the_job_and_not_the_whole_traceback"
SAYS = "carries a traceback"


async def submit_job(app, new):
    job, _ = await insert_job(app, new)
    try:
        await app.queue.push(job)
    except RedisError:
        logging.warning("job %s was not pushed", job.task_id, exc_info=True)
    return job.task_id
