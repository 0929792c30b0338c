"""A newer version runs beside this one, and writes words that this one never heard of."""

import asyncio

import pytest
from scheduler.jobs import Status
from scheduler.v1 import scheduler_pb2 as pb

from tests.end_to_end.client import claim, next_event
from tests.helpers import submit, until_status
from tests.patience import SECONDS

pytestmark = [pytest.mark.timeout(60), pytest.mark.of_reference]

NEWER = """
    ALTER TABLE tasks DROP CONSTRAINT status_is_known, DROP CONSTRAINT priority_is_known,
        DROP CONSTRAINT only_a_queued_job_has_pushed_at
"""


async def rewrite(app, task_id, column, word):
    await app.db.fetch_all(NEWER.replace("CONSTRAINT", "CONSTRAINT IF EXISTS"))
    await app.db.fetch_all(
        f"UPDATE tasks SET {column} = %s, version = version + 1 WHERE task_id = %s", [word, task_id]
    )
    app.hints.changed([task_id])


@pytest.mark.parametrize(
    ("column", "field", "unspecified"),
    [("status", "state", pb.JOB_STATE_UNSPECIFIED), ("priority", "priority", pb.PRIORITY_UNSPECIFIED)],
)
async def test_an_unknown_word_is_unspecified_and_hides_no_other_job(api, stub, column, field, unspecified):
    strange, usual = await submit(api.app), await submit(api.app)
    await rewrite(api.app, strange, column, "paused")
    one = await stub.GetJob(pb.GetJobRequest(job_id=str(strange)), timeout=SECONDS)
    assert getattr(one, field) == unspecified
    page = await stub.ListJobs(pb.ListJobsRequest(), timeout=SECONDS)
    assert {job.job_id: getattr(job, field) == unspecified for job in page.jobs} == {
        str(strange): True,
        str(usual): False,
    }


async def test_a_watch_shows_an_unknown_word_and_goes_on_and_an_innocent_one_sees_its_job(api, stub):
    strange, usual = await submit(api.app), await submit(api.app)
    watches = [stub.WatchJob(pb.WatchJobRequest(job_id=str(one))) for one in (strange, usual)]
    for watch in watches:
        await next_event(watch)
    await rewrite(api.app, strange, "status", "paused")
    await claim(api.app, usual)
    events = await asyncio.gather(*map(next_event, watches))
    assert [event.state for event in events] == [pb.JOB_STATE_UNSPECIFIED, pb.JOB_STATE_RUNNING]
    assert "paused" in events[0].message
    await rewrite(api.app, strange, "status", "queued")
    assert (await next_event(watches[0])).state == pb.JOB_STATE_QUEUED
    for watch in watches:
        watch.cancel()


@pytest.mark.parametrize("method", ["CancelJob", "RequeueJob"])
async def test_a_job_of_an_unknown_status_is_left_alone(api, stub, method):
    strange = await submit(api.app)
    await rewrite(api.app, strange, "status", "paused")
    request = pb.CancelJobRequest if method == "CancelJob" else pb.RequeueJobRequest
    answer = await getattr(stub, method)(request(job_id=str(strange)), timeout=SECONDS)
    assert not (answer.cancelled if method == "CancelJob" else answer.requeued)


async def test_a_job_of_an_unknown_priority_can_be_cancelled(api, stub):
    strange = await submit(api.app)
    await rewrite(api.app, strange, "priority", "urgent")
    assert (await stub.CancelJob(pb.CancelJobRequest(job_id=str(strange)), timeout=SECONDS)).cancelled
    await until_status(api.app, strange, Status.CANCELLED)
