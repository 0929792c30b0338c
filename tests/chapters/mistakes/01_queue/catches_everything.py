"""Every exception counts as Redis being away."""

import logging

from scheduler.jobs import insert_job

TEST = "test_task_5_hides_no_mistake_but_the_failure_of_redis"
SAYS = "catch redis-py's RedisError and nothing wider"


async def submit_job(app, new):
    job, _ = await insert_job(app, new)
    try:
        await app.queue.push(job)
    except Exception:
        logging.warning("the push failed")
    return job.task_id
