"""A mistake on the way to Redis is hidden too."""

import logging

from scheduler.jobs import parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_3_hides_no_mistake_but_the_failure_of_redis"
SAYS = "nothing wider"


async def cancel_job(app, request, context):
    job = await app.parts.cancel_in_database(app, parse_job_id(request.job_id))
    try:
        await app.parts.remove_entry(app, job)
    except Exception:
        logging.warning("the entry stays")
    return pb.CancelJobResponse(cancelled=True)
