import logging

from redis.exceptions import RedisError
from scheduler.jobs import insert_job

log = logging.getLogger(__name__)


async def submit_job(app, new):
    await insert_job(app, new)
    try:
        await app.queue.push(new)
    except RedisError:
        log.warning("the push failed", exc_info=True)
    return new.task_id
