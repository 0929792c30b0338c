"""Every transition that the design allows is made by its piece, and no piece makes any other."""

import dataclasses
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
import pytest_asyncio
from scheduler.app import open_app
from scheduler.entry import Entry
from scheduler.errors import JobNotFound
from scheduler.jobs import TRANSITIONS, Job, Priority, Status, get_job_row
from scheduler.parts import reference
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker.one_job import Outcome
from scheduler.worker.retries import pump_retries

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def module_settings(backends):
    with backends.sandbox() as own:
        yield own


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_app(module_settings):
    async with open_app(module_settings, reference()) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def app(module_app):
    """One app for all of these tests, for there are many of them. Each finds it empty."""
    await module_app.db.fetch_all("DELETE FROM tasks")
    await module_app.db.fetch_all("DELETE FROM task_attempts")
    await module_app.queue.redis.flushdb()
    return module_app


# A legal row in any status. What is due is due; the lease of a running job has run out.
INSERT = """
    INSERT INTO tasks (task_id, type, status, attempts, max_attempts, version, started_at, pushed_at, lease_expires_at,
        next_run_at, finished_at, worker, last_error, created_at, updated_at, queued_at)
    SELECT %(id)s, 'noop', %(status)s, %(attempts)s, %(max_attempts)s, 7, t,
        CASE WHEN %(status)s = 'queued' THEN t END,
        CASE WHEN %(status)s = 'running' THEN now() + %(lease)s * interval '1 second' END,
        CASE WHEN %(status)s = 'retry' THEN t END,
        CASE WHEN %(status)s IN ('succeeded', 'failed', 'deadletter', 'cancelled') THEN t END,
        CASE WHEN %(status)s = 'running' THEN 'somebody/1' END,
        CASE WHEN %(status)s IN ('failed', 'deadletter', 'retry') THEN 'an earlier error' END,
        t, t, t
    FROM (SELECT now() - interval '1 minute' AS t) AS before
    RETURNING *
"""


async def standing(app, status, attempts=1, max_attempts=3, lease=-1):
    """A job that stands in a status."""
    given = {
        "id": uuid4(),
        "status": str(status),
        "attempts": attempts,
        "max_attempts": max_attempts,
        "lease": lease,
    }
    return Job.from_row(await app.db.fetch_one(INSERT, given))


async def again(app, job):
    return await get_job_row(app, job.task_id)


async def attempts_of(app, job):
    sql = "SELECT attempt, ok, error, started_at, finished_at FROM task_attempts WHERE task_id = %s"
    return await app.db.fetch_all(sql, [job.task_id])


# --- the pieces, each as (name, what it does to a job, from where, to where)


async def claim(app, job):
    return bool(await app.parts.claim(app, [Entry(job.task_id, job.type, job.priority)]))


def finish(status):
    async def piece(app, job):
        error = None if status is Status.SUCCEEDED else "why"
        return await app.parts.finish(app, job, Outcome(status, error, delay=60))

    return piece


async def cancel(app, job):
    request = pb.CancelJobRequest(job_id=str(job.task_id))
    return (await app.parts.cancel_job(app, request, SimpleNamespace())).cancelled


async def requeue(app, job):
    request = pb.RequeueJobRequest(job_id=str(job.task_id))
    return (await app.parts.requeue_job(app, request, SimpleNamespace())).requeued


async def pump(app, job):
    return bool(await app.parts.pump_retries(app))


async def reap(app, job):
    return bool(await app.parts.reap(app))


async def give_back(app, job):
    return bool(await app.parts.give_back(app, [job]))


RUNNING = {Status.RUNNING}
PIECES = {
    "claim": (claim, {Status.QUEUED}, Status.RUNNING),
    "finish: succeeded": (finish(Status.SUCCEEDED), RUNNING, Status.SUCCEEDED),
    "finish: failed": (finish(Status.FAILED), RUNNING, Status.FAILED),
    "finish: retry": (finish(Status.RETRY), RUNNING, Status.RETRY),
    "finish: deadletter": (finish(Status.DEADLETTER), RUNNING, Status.DEADLETTER),
    "cancel": (cancel, {Status.QUEUED, Status.RUNNING, Status.RETRY}, Status.CANCELLED),
    "requeue": (requeue, {Status.FAILED, Status.DEADLETTER}, Status.QUEUED),
    "pump": (pump, {Status.RETRY}, Status.QUEUED),
    "reap": (reap, RUNNING, Status.RETRY),
    "give back": (give_back, RUNNING, Status.QUEUED),
}
# What is left over when a job comes to a status, and what must be gone.
SET = {
    Status.QUEUED: {"pushed_at"},
    Status.RUNNING: {"lease_expires_at", "worker"},
    Status.RETRY: {"next_run_at"},
}
VARYING = {"pushed_at", "lease_expires_at", "worker", "next_run_at", "finished_at"}


async def test_the_pieces_make_every_transition_of_the_table_and_no_other():
    made = {(start, end) for _, starts, end in PIECES.values() for start in starts}
    made.add((Status.RUNNING, Status.DEADLETTER))  # the reaper, when no attempt is left
    assert made == {(start, end) for start, ends in TRANSITIONS.items() for end in ends}


@pytest.mark.parametrize("start", Status)
@pytest.mark.parametrize("name", PIECES)
async def test_a_piece_moves_a_job_only_from_where_it_may(app, name, start):
    piece, starts, end = PIECES[name]
    before = await standing(app, start)

    moved = await piece(app, before)

    after = await again(app, before)
    assert moved is (start in starts)
    if start not in starts:
        assert after == before
        assert await attempts_of(app, before) == []
        return
    assert after.status is end
    assert after.version == before.version + 1
    assert after.updated_at > before.updated_at
    assert after.created_at == before.created_at
    assert after.attempts == before.attempts + (name == "claim")
    expected = {"finished_at"} if end.is_terminal else SET[end]
    assert {column for column in VARYING if getattr(after, column) is not None} == expected
    if end is Status.QUEUED:
        assert after.queued_at == after.pushed_at == after.updated_at
    elif end is Status.RUNNING:
        assert after.started_at == after.updated_at
        assert after.lease_expires_at - after.updated_at == timedelta(seconds=app.settings.lease_seconds)
    elif end.is_terminal:
        assert after.finished_at == after.updated_at


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.RETRY, Status.DEADLETTER])
async def test_a_finish_writes_the_attempt_that_it_ended(app, status):
    job = await standing(app, Status.RUNNING, attempts=2)
    await finish(status)(app, job)
    after = await again(app, job)
    [attempt] = await attempts_of(app, job)
    assert (attempt["attempt"], attempt["ok"]) == (2, status is Status.SUCCEEDED)
    assert attempt["error"] == after.last_error == (None if status is Status.SUCCEEDED else "why")
    assert (attempt["started_at"], attempt["finished_at"]) == (job.started_at, after.updated_at)


@pytest.mark.parametrize("name", ["cancel", "give back", "claim", "requeue", "pump"])
async def test_nothing_but_a_finish_or_the_reaper_writes_an_attempt(app, name):
    piece, starts, _ = PIECES[name]
    for start in starts:
        job = await standing(app, start)
        assert await piece(app, job)
        assert await attempts_of(app, job) == []


async def test_a_success_forgets_the_earlier_error(app):
    job = await standing(app, Status.RETRY)
    await pump(app, job)
    await claim(app, job)
    await finish(Status.SUCCEEDED)(app, await again(app, job))
    assert (await again(app, job)).last_error is None


async def test_a_retry_is_due_after_its_delay(app):
    job = await standing(app, Status.RUNNING)
    await app.parts.finish(app, job, Outcome(Status.RETRY, "why", delay=12.5))
    after = await again(app, job)
    assert after.next_run_at - after.updated_at == timedelta(seconds=12.5)


async def test_the_pump_leaves_a_retry_that_is_not_due(app):
    job = await standing(app, Status.RUNNING)
    await finish(Status.RETRY)(app, job)
    before = await again(app, job)
    assert await pump_retries(app) == 0
    assert await again(app, job) == before


@pytest.mark.parametrize(
    ("attempts", "max_attempts", "status"),
    [
        (1, 3, Status.RETRY),
        (2, 3, Status.RETRY),
        (3, 3, Status.DEADLETTER),
        (1, 1, Status.DEADLETTER),
        (4, 3, Status.DEADLETTER),
    ],
)
async def test_the_reaper_counts_the_lost_attempt(app, attempts, max_attempts, status):
    job = await standing(app, Status.RUNNING, attempts, max_attempts)
    assert await app.parts.reap(app) == 1
    after = await again(app, job)
    assert (after.status, after.attempts, after.version) == (status, attempts, job.version + 1)
    assert after.last_error == "lease expired"
    assert (after.worker, after.lease_expires_at) == (None, None)
    if status is Status.RETRY:
        assert after.next_run_at == after.updated_at, "due at once"
    else:
        assert after.finished_at == after.updated_at
    [attempt] = await attempts_of(app, job)
    assert (attempt["attempt"], attempt["ok"], attempt["error"]) == (attempts, False, "lease expired")


async def test_the_reaper_leaves_a_lease_that_holds(app):
    job = await standing(app, Status.RUNNING, lease=60)
    assert await app.parts.reap(app) == 0
    assert await again(app, job) == job


# A newer version's tables, and a row that is due in a status which this version never heard of.
NEWER = """
    ALTER TABLE tasks DROP CONSTRAINT status_is_known, DROP CONSTRAINT only_a_queued_job_has_pushed_at,
        DROP CONSTRAINT running_job_has_a_lease, DROP CONSTRAINT retry_job_has_next_run_at
"""
PAUSED = "UPDATE tasks SET status = 'paused' WHERE task_id = %s"
DUTIES = {"pump": Status.RETRY, "reap": Status.RUNNING, "reconcile": Status.QUEUED}


@pytest.mark.parametrize("name", DUTIES)
async def test_a_duty_leaves_what_is_due_in_a_status_of_a_newer_version(settings, name):
    async with open_app(settings, reference()) as app:
        before = await standing(app, DUTIES[name])
        await app.db.fetch_all(NEWER)
        await app.db.fetch_all(PAUSED, [before.task_id])
        duty = {"pump": pump_retries, "reap": app.parts.reap, "reconcile": app.parts.reconcile}[name]
        assert await duty(app) == 0
        after = await again(app, before)
        assert (after.status, after.version, after.pushed_at) == ("paused", before.version, before.pushed_at)


# --- the fence


@pytest.mark.parametrize("name", ["finish: succeeded", "finish: retry", "finish: deadletter", "give back"])
@pytest.mark.parametrize("change", ["an earlier attempt", "a later attempt"])
async def test_an_attempt_that_is_not_the_present_one_changes_nothing(app, name, change):
    piece, _, _ = PIECES[name]
    before = await standing(app, Status.RUNNING, attempts=2)
    stale = dataclasses.replace(before, attempts=1 if change == "an earlier attempt" else 3)
    assert await piece(app, stale) is False
    assert await again(app, before) == before
    assert await attempts_of(app, before) == []


async def test_a_finish_can_be_written_again_after_a_lost_reply_and_counts_once(app):
    job = await standing(app, Status.RUNNING)
    assert await finish(Status.FAILED)(app, job) is True
    after = await again(app, job)
    assert await finish(Status.FAILED)(app, job) is True
    assert await again(app, job) == after
    assert len(await attempts_of(app, job)) == 1


async def test_another_finish_of_the_same_attempt_is_refused(app):
    job = await standing(app, Status.RUNNING)
    await finish(Status.SUCCEEDED)(app, job)
    after = await again(app, job)
    assert await finish(Status.FAILED)(app, job) is False
    assert await again(app, job) == after


@pytest.mark.parametrize(("attempts", "status"), [(1, Status.RETRY), (3, Status.DEADLETTER)])
async def test_a_finish_is_refused_that_says_what_the_reaper_said_for_a_reason_of_its_own(
    app, attempts, status
):
    job = await standing(app, Status.RUNNING, attempts)
    assert await reap(app, job)
    after = await again(app, job)
    assert after.status is status
    assert await finish(status)(app, job) is False
    assert await again(app, job) == after


async def test_a_finish_after_a_cancel_and_a_requeue_after_it_are_refused(app):
    job = await standing(app, Status.RUNNING)
    assert await cancel(app, job)
    after = await again(app, job)
    assert await finish(Status.SUCCEEDED)(app, job) is False
    assert await requeue(app, job) is False
    assert await again(app, job) == after


async def test_the_attempt_number_never_falls_on_the_way_through_all_of_it(app):
    job = await standing(app, Status.QUEUED, attempts=0, max_attempts=1)
    numbers = []

    async def claimed():
        assert await claim(app, job)
        now = await again(app, job)
        numbers.append((now.attempts, now.max_attempts))
        return now

    await give_back(app, await claimed())
    await finish(Status.DEADLETTER)(app, await claimed())
    await requeue(app, job)
    await app.parts.finish(app, await claimed(), Outcome(Status.RETRY, "why", delay=0))
    await pump(app, job)
    await finish(Status.SUCCEEDED)(app, await claimed())
    assert numbers == [(1, 1), (2, 2), (3, 3), (4, 3)]
    attempts = await attempts_of(app, job)
    assert sorted((one["attempt"], one["ok"]) for one in attempts) == [(2, False), (3, False), (4, True)]


@pytest.mark.parametrize(("attempts", "limit", "after"), [(1, 3, 4), (3, 3, 4), (100, 100, 101)])
async def test_a_job_that_is_given_back_has_one_attempt_more_instead(app, attempts, limit, after):
    job = await standing(app, Status.RUNNING, attempts, limit)
    assert [one.task_id for one in await app.parts.give_back(app, [job])] == [job.task_id]
    now = await again(app, job)
    assert (now.attempts, now.max_attempts) == (attempts, after)


# --- what changes nothing that counts


def untouched(job):
    return job.status, job.attempts, job.version, job.updated_at, job.queued_at


@pytest.mark.parametrize("start", Status)
async def test_a_heartbeat_extends_a_running_lease_and_nothing_else(app, start):
    before = await standing(app, start, attempts=2)
    ours = await app.parts.heartbeat(app, [before])
    after = await again(app, before)
    if start is Status.RUNNING:
        assert ours == {before.task_id}
        assert after.lease_expires_at > before.lease_expires_at
        assert untouched(after) == untouched(before)
    else:
        assert ours == set()
        assert after == before


async def test_a_heartbeat_of_an_earlier_attempt_extends_nothing(app):
    before = await standing(app, Status.RUNNING, attempts=2)
    assert await app.parts.heartbeat(app, [dataclasses.replace(before, attempts=1)]) == set()
    assert await again(app, before) == before


@pytest.mark.parametrize("start", Status)
async def test_the_reconciler_pushes_a_queued_job_again_and_changes_nothing_else(app, start):
    before = await standing(app, start)
    pushed = await app.parts.reconcile(app)
    after = await again(app, before)
    if start is Status.QUEUED:
        assert pushed == 1
        assert after.pushed_at > before.pushed_at
        assert untouched(after) == untouched(before)
        assert await app.queue.redis.llen("q:default") == 1
    else:
        assert pushed == 0
        assert after == before
        assert await app.queue.redis.llen("q:default") == 0


# --- jobs that there are not


@pytest.mark.parametrize("name", ["cancel", "requeue"])
async def test_an_unknown_job_is_not_found(app, name):
    job = await standing(app, Status.QUEUED)
    await app.db.fetch_all("DELETE FROM tasks")
    with pytest.raises(JobNotFound):
        await PIECES[name][0](app, job)


@pytest.mark.parametrize("name", ["claim", "finish: succeeded", "give back", "pump", "reap"])
async def test_a_job_that_was_deleted_is_passed_over(app, name):
    job = await standing(app, Status.RUNNING)
    await app.db.fetch_all("DELETE FROM tasks")
    assert await PIECES[name][0](app, job) is False
    assert await again(app, job) is None


async def test_nothing_at_all_is_a_right_request(app):
    assert await app.parts.claim(app, []) == []
    assert await app.parts.heartbeat(app, []) == set()
    assert await app.parts.give_back(app, []) == []
    assert (
        await app.parts.pump_retries(app) == await app.parts.reap(app) == await app.parts.reconcile(app) == 0
    )


async def test_a_job_named_twice_is_claimed_once(app):
    job = await standing(app, Status.QUEUED, attempts=0)
    entry = Entry(job.task_id, "noop", Priority.DEFAULT)
    [claimed] = await app.parts.claim(app, [entry, entry])
    assert (claimed.attempts, claimed.version) == (1, job.version + 1)
