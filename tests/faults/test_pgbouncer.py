"""PgBouncer before the database, in both of its modes that a scheduler can use; and what is said where it can't."""

import asyncio

import pytest
from scheduler.app import open_app
from scheduler.parts import reference
from scheduler.server import running_api
from scheduler.v1 import scheduler_pb2 as pb
from scheduler.worker.service import running_worker

from tests.end_to_end.client import connected, rest
from tests.end_to_end.commands import environment_of, scheduler
from tests.faults.tools import handling, short_pops  # noqa: F401
from tests.pgbouncer import pgbouncer

pytestmark = [pytest.mark.timeout(120), pytest.mark.of_reference]

BOTH = pytest.mark.parametrize("mode", ["session", "transaction"])


async def fails_once(app, job):
    if job.attempts == 1:
        raise RuntimeError("no luck")


@BOTH
async def test_jobs_are_accepted_run_retried_watched_and_listed(settings, mode):
    # Fewer connections to the database than the API and the worker have to PgBouncer, in the mode that allows it.
    size = 5 if mode == "transaction" else 40
    with handling(fails_once=fails_once):
        async with (
            pgbouncer(settings, mode, size) as through,
            running_api(through, reference()) as api,
            running_worker(through, reference()),
            connected(api) as stub,
        ):
            jobs = [
                pb.Job(type=type, priority=pb.PRIORITY_HIGH) for type in ["noop"] * 57 + ["fails_once"] * 3
            ]
            answers = await asyncio.gather(*[stub.SubmitJob(pb.SubmitJobRequest(job=job)) for job in jobs])
            stream = stub.WatchJob(pb.WatchJobRequest(job_id=answers[-1].job_id))
            assert (await rest(stream))[-1].state == pb.JOB_STATE_SUCCEEDED
            for answer in answers:
                async for event in stub.WatchJob(pb.WatchJobRequest(job_id=answer.job_id)):
                    last = event
                assert last.state == pb.JOB_STATE_SUCCEEDED
            # Often enough that psycopg would prepare each statement, on connections that change under it.
            for _ in range(10):
                pages = [
                    stub.ListJobs(pb.ListJobsRequest(state_filter=pb.JOB_STATE_SUCCEEDED)) for _ in range(10)
                ]
                assert {len(page.jobs) for page in await asyncio.gather(*pages)} == {50}
            submitted = pb.SubmitJobsRequest(jobs=[pb.Job(type="sleep", payload_json='{"seconds": 60}')] * 5)
            held = (await stub.SubmitJobs(submitted)).job_ids
            cancels = [stub.CancelJob(pb.CancelJobRequest(job_id=job_id)) for job_id in held]
            assert all(answer.cancelled for answer in await asyncio.gather(*cancels))


@BOTH
async def test_a_second_process_finds_the_schema_and_a_transaction_is_one(settings, mode):
    async with (
        pgbouncer(settings, mode, 2 if mode == "transaction" else 40) as through,
        open_app(through, reference()) as app,
        open_app(through, reference()) as other,
    ):

        async def both(connection):
            await connection.execute("CREATE TEMPORARY TABLE seen (n INT) ON COMMIT DROP")
            await asyncio.sleep(0)
            cursor = await connection.execute("SELECT count(*) AS number FROM seen")
            return (await cursor.fetchone())["number"]

        found = await asyncio.gather(*[one.db.transaction(both) for one in (app, other) * 10])
        assert found == [0] * 20


async def test_in_session_mode_the_database_still_ends_a_statement_that_takes_too_long(settings):
    async with pgbouncer(settings, "session") as through, open_app(through, reference()) as app:
        assert await app.db.fetch_one("SHOW statement_timeout") == {"statement_timeout": "30s"}
    async with open_app(settings, reference()) as app:
        assert await app.db.fetch_one("SHOW statement_timeout") == {"statement_timeout": "30s"}


async def test_in_transaction_mode_nothing_is_set_that_others_would_meet(settings):
    async with pgbouncer(settings, "transaction", 1) as through, open_app(through, reference()) as app:
        assert await app.db.fetch_one("SHOW statement_timeout") == {"statement_timeout": "0"}
        assert await app.db.fetch_one("SELECT count(*) AS number FROM pg_prepared_statements") == {
            "number": 0
        }


async def test_without_the_setting_the_start_says_what_pgbouncer_refuses(settings):
    async with pgbouncer(settings, "session") as through:
        environment = environment_of(through, DATABASE_WAIT_SECONDS="0.5", DATABASE_POOLER="none")
        done = await scheduler(environment, "worker")
        assert done.code == 1
        assert "unsupported startup parameter" in done.sentence
        assert "DATABASE_POOLER" in done.sentence
