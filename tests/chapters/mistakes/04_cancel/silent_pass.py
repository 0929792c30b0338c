"""A failure of Redis leaves no trace."""

from contextlib import suppress

from redis.exceptions import RedisError
from scheduler.jobs import parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_3_says_in_the_log_that_an_entry_stays"
SAYS = "nobody will ever know"


async def cancel_job(app, request, context):
    job = await app.parts.cancel_in_database(app, parse_job_id(request.job_id))
    with suppress(RedisError):
        await app.parts.remove_entry(app, job)
    return pb.CancelJobResponse(cancelled=True)
