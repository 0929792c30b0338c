"""ListJobs over a real connection: filters that compose, and pages that neither skip nor repeat a job."""

import asyncio
import base64
from itertools import product
from uuid import UUID, uuid4

import pytest
from scheduler.jobs import Priority, Status
from scheduler.v1 import scheduler_pb2 as pb

from tests.end_to_end.client import invalid, on_shared
from tests.helpers import submit
from tests.patience import SECONDS

STATES = {status: pb.JobState.Value(f"JOB_STATE_{status.name}") for status in Status}
PRIORITIES = {priority: pb.Priority.Value(f"PRIORITY_{priority.name}") for priority in Priority}
TYPES = ("noop", "send mail", "Ünïcode' OR 1=1 --")

# Legal rows in every status, priority and type, many with the same created_at.
FILL = """
    INSERT INTO tasks (task_id, type, priority, status, created_at, attempts, started_at, pushed_at, lease_expires_at,
        next_run_at, finished_at)
    SELECT id, type, priority, status, now() - age * interval '1 second', 1, now(),
        CASE WHEN status = 'queued' THEN now() END,
        CASE WHEN status = 'running' THEN now() + interval '1 hour' END,
        CASE WHEN status = 'retry' THEN now() + interval '1 hour' END,
        CASE WHEN status IN ('succeeded', 'failed', 'deadletter', 'cancelled') THEN now() END
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::int[]) AS v(id, type, priority, status, age)
"""


async def fill(app, rows):
    """Insert rows of (type, priority, status, age)."""
    types, priorities, statuses, ages = zip(*rows, strict=True)
    ids = [uuid4() for _ in rows]
    columns = [ids, list(types), list(map(str, priorities)), list(map(str, statuses)), list(ages)]
    await app.db.fetch_all(FILL, columns)
    return ids


async def plain(app, number):
    """So many queued jobs, three of which always have the same created_at."""
    return await fill(app, [("noop", Priority.DEFAULT, Status.QUEUED, n // 3) for n in range(number)])


async def page(stub, **request):
    return await stub.ListJobs(pb.ListJobsRequest(**request), timeout=SECONDS)


async def walk(stub, between=None, **request):
    """Every page, until an empty token says that it was the last."""
    pages, token = [], ""
    while True:
        answer = await page(stub, page_token=token, **request)
        pages.append([job.job_id for job in answer.jobs])
        token = answer.next_page_token
        if not token:
            return pages
        assert len(pages) < 1_000
        if between is not None:
            await between()


async def in_order(app, where="true"):
    rows = await app.db.fetch_all(
        f"SELECT task_id FROM tasks WHERE {where} ORDER BY created_at DESC, task_id DESC"
    )
    return [str(row["task_id"]) for row in rows]


def flat(pages):
    return [job_id for one in pages for job_id in one]


async def test_no_jobs_are_one_empty_page(stub):
    answer = await page(stub)
    assert list(answer.jobs) == []
    assert answer.next_page_token == ""


async def test_a_listed_job_says_what_get_job_says(api, stub):
    task_id = await submit(api.app, "noop", priority=Priority.LOW, max_attempts=9)
    [listed] = (await page(stub)).jobs
    assert listed == await stub.GetJob(pb.GetJobRequest(job_id=str(task_id)))


async def test_the_newest_comes_first_and_ties_are_broken_by_the_id(api, stub):
    await plain(api.app, 30)
    assert [job.job_id for job in (await page(stub)).jobs] == await in_order(api.app)


async def test_jobs_of_one_request_have_one_time_and_an_order_all_the_same(api, stub):
    await stub.SubmitJobs(pb.SubmitJobsRequest(jobs=[pb.Job(type="noop")] * 60))
    pages = await walk(stub, page_size=7)
    assert flat(pages) == await in_order(api.app)


# --- filters


async def test_every_filter_and_every_combination_shows_what_it_names(api, stub):
    await fill(
        api.app,
        [
            (type, priority, status, n)
            for n in range(2)
            for type, priority, status in product(TYPES, Priority, Status)
        ],
    )
    for state, priority, type in product([None, *Status], [None, *Priority], ["", *TYPES]):
        where = ["true"]
        if state is not None:
            where.append(f"status = '{state}'")
        if priority is not None:
            where.append(f"priority = '{priority}'")
        if type:
            where.append("type = '" + type.replace("'", "''") + "'")
        answer = await page(
            stub,
            state_filter=STATES[state] if state else 0,
            priority_filter=PRIORITIES[priority] if priority else 0,
            type_filter=type,
            page_size=1_000,
        )
        assert [job.job_id for job in answer.jobs] == await in_order(api.app, " AND ".join(where))
        assert answer.next_page_token == ""


async def test_filters_and_pages_go_together(api, stub):
    await fill(
        api.app,
        [
            ("noop" if n % 2 else "sleep", Priority.HIGH, Status.FAILED if n % 3 else Status.QUEUED, n)
            for n in range(60)
        ],
    )
    pages = await walk(stub, state_filter=pb.JOB_STATE_FAILED, type_filter="noop", page_size=6)
    assert flat(pages) == await in_order(api.app, "status = 'failed' AND type = 'noop'")
    assert [len(one) for one in pages] == [6, 6, 6, 2]


async def test_a_type_that_nobody_has_is_an_empty_page(api, stub):
    await plain(api.app, 3)
    assert list((await page(stub, type_filter="no such type")).jobs) == []


@on_shared
@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"state_filter": 8}, "state_filter"),
        ({"state_filter": -1}, "state_filter"),
        ({"priority_filter": 5}, "priority_filter"),
        ({"priority_filter": 2**31 - 1}, "priority_filter"),
        ({"type_filter": "x" * 201}, "type_filter"),
        ({"type_filter": "a\0b"}, "type_filter"),
        ({"page_size": -1}, "page_size"),
        ({"page_size": -(2**31)}, "page_size"),
    ],
)
async def test_a_bad_filter_or_size_is_refused_by_its_field(shared, request_fields, field):
    _, stub = shared
    assert await invalid(page(stub, **request_fields)) == [field]


# --- the size of a page


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (1, 1), (999, 999), (1_000, 1_000), (1_001, 1_000)])
async def test_a_page_holds_what_is_asked_for_within_limits(api, stub, asked, given):
    await plain(api.app, 1_010)
    answer = await page(stub, page_size=asked)
    assert len(answer.jobs) == given
    assert answer.next_page_token


async def test_the_largest_size_that_int32_has_is_a_right_one(api, stub):
    await plain(api.app, 1_010)
    assert [len(one) for one in await walk(stub, page_size=2**31 - 1)] == [1_000, 10]


@pytest.mark.parametrize("number", [1, 9, 10, 11, 20, 30])
async def test_a_walk_shows_every_job_once_and_ends_with_an_empty_token(api, stub, number):
    await plain(api.app, number)
    pages = await walk(stub, page_size=10)
    assert flat(pages) == await in_order(api.app)
    assert all(len(one) <= 10 for one in pages)


async def test_the_size_may_change_from_page_to_page(api, stub):
    await plain(api.app, 40)
    seen, token = [], ""
    for size in (1, 7, 0, 3):
        answer = await page(stub, page_size=size, page_token=token)
        seen += [job.job_id for job in answer.jobs]
        if not (token := answer.next_page_token):
            break
    assert seen == await in_order(api.app)


# --- while things happen


@pytest.mark.needs_task("05_listjobs", 5)
async def test_a_walk_neither_skips_nor_repeats_while_jobs_arrive(api, stub):
    await plain(api.app, 50)
    there_at_first = await in_order(api.app)

    async def arrive():
        await asyncio.gather(*[submit(api.app) for _ in range(9)])

    shown = flat(await walk(stub, between=arrive, page_size=4))
    assert len(shown) == len(set(shown))
    assert [job_id for job_id in shown if job_id in set(there_at_first)] == there_at_first


@pytest.mark.needs_task("05_listjobs", 5)
async def test_a_walk_goes_on_though_the_job_that_it_stopped_at_is_deleted(api, stub):
    await plain(api.app, 20)
    order = await in_order(api.app)
    first = await page(stub, page_size=5)
    await api.app.db.fetch_all("DELETE FROM tasks WHERE task_id = %s", [UUID(first.jobs[-1].job_id)])
    rest = await page(stub, page_size=50, page_token=first.next_page_token)
    assert [job.job_id for job in rest.jobs] == order[5:]


@pytest.mark.needs_task("05_listjobs", 5)
async def test_a_walk_over_one_state_neither_repeats_nor_loses_while_jobs_leave_it(api, stub):
    await plain(api.app, 30)
    order = await in_order(api.app)
    left = []

    async def leave():
        # A job that was shown already, and one that will not be.
        for task_id in (order[0], order[-1 - len(left) // 2]):
            await api.app.parts.cancel_in_database(api.app, UUID(task_id))
            left.append(task_id)

    shown = flat(await walk(stub, between=leave, state_filter=pb.JOB_STATE_QUEUED, page_size=4))
    assert len(shown) == len(set(shown))
    assert [one for one in order if one not in left] == [one for one in shown if one not in left]


async def test_the_same_page_can_be_asked_for_twice(api, stub):
    await plain(api.app, 20)
    token = (await page(stub, page_size=5)).next_page_token
    first, second = [await page(stub, page_size=5, page_token=token) for _ in range(2)]
    assert first == second


# --- tokens


FILTERS = {
    "any": {},
    "a state": {"state_filter": pb.JOB_STATE_QUEUED},
    "a priority": {"priority_filter": pb.PRIORITY_DEFAULT},
    "a type": {"type_filter": "noop"},
    "two": {"type_filter": "noop", "state_filter": pb.JOB_STATE_QUEUED},
}


@pytest.mark.needs_task("05_listjobs", 6)
async def test_a_token_of_other_filters_is_refused(api, stub):
    await plain(api.app, 5)
    tokens = {
        name: (await page(stub, page_size=2, **filters)).next_page_token for name, filters in FILTERS.items()
    }
    for (given, token), (used, filters) in product(tokens.items(), FILTERS.items()):
        if given == used:
            assert len((await page(stub, page_token=token, **filters)).jobs) == 3
        else:
            assert await invalid(page(stub, page_token=token, **filters)) == ["page_token"]


@pytest.mark.needs_task("05_listjobs", 6)
@on_shared
@pytest.mark.parametrize(
    "token",
    [
        "x",
        "garbage",
        "2",
        "é",
        " ",
        "\0",
        "=" * 44,
        "A" * 44,
        "_" * 44,
        "A" * 100_000,
        base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        base64.urlsafe_b64encode(b"\x7f" * 32).decode(),
        base64.urlsafe_b64encode(b"\0" * 31).decode(),
        '{"created_at": "now"}',
        "'; DROP TABLE tasks; --",
    ],
    ids=range(15),
)
async def test_a_token_that_is_none_is_refused(shared, token):
    _, stub = shared
    assert await invalid(page(stub, page_token=token)) == ["page_token"]


@pytest.mark.needs_task("05_listjobs", 6)
async def test_a_token_with_any_character_changed_is_refused(api, stub):
    await plain(api.app, 5)
    token = (await page(stub, page_size=2)).next_page_token
    for position, character in enumerate(token):
        # From A to Q, for the lowest bits of the last character say nothing: base64 fills them up.
        changed = token[:position] + ("Q" if character == "A" else "A") + token[position + 1 :]
        assert await invalid(page(stub, page_token=changed)) == ["page_token"]
    for cut in (token[:-1], token[1:], token + "A", token * 2, token.rstrip("=")):
        if cut != token:
            assert await invalid(page(stub, page_token=cut)) == ["page_token"]


@pytest.mark.of_reference
async def test_any_page_can_be_read_by_an_ordinary_client_and_none_is_left_out(api, stub):
    """An ordinary client takes 4 MiB. The rows are what another worker, or a person, may have written."""
    await api.app.db.fetch_all(
        "INSERT INTO tasks (task_id, type, status, pushed_at, finished_at, last_error) "
        "SELECT gen_random_uuid(), repeat('😀', 200), 'failed', NULL, now(), repeat('😀', 20000) "
        "FROM generate_series(1, 900)"
    )
    found, token, pages = [], "", 0
    while pages == 0 or token:
        page = await stub.ListJobs(pb.ListJobsRequest(page_size=1_000, page_token=token), timeout=20)
        assert page.ByteSize() < 4 * 1024 * 1024
        found += [job.job_id for job in page.jobs]
        token, pages = page.next_page_token, pages + 1
    assert len(found) == len(set(found)) == 900
    assert pages > 1
