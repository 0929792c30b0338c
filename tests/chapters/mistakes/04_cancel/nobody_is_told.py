"""Watchers are not woken."""

from scheduler.jobs import parse_job_id
from scheduler.v1 import scheduler_pb2 as pb

TEST = "test_task_3_wakes_those_who_watch"
SAYS = "app.hints.changed([task_id])"


async def cancel_job(app, request, context):
    job = await app.parts.cancel_in_database(app, parse_job_id(request.job_id))
    await app.parts.remove_entry(app, job)
    return pb.CancelJobResponse(cancelled=True)
