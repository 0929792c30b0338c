"""ListJobs reads no more rows than it shows, whatever it is asked for: the plans of its statement, on real rows."""

import itertools
import json

import pytest
import pytest_asyncio
from scheduler.api.list_jobs import Position, statement
from scheduler.database import Database
from scheduler.jobs import Priority, Status

pytestmark = [pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

ROWS = 20_000
PAGE = 51

# A quarter of the rows, all of them old, are of a rare kind in one way or another: to look for one of them from the
# newest row on, or to sort all of them, would cost thousands of rows.
FILL = """
    INSERT INTO tasks (task_id, type, priority, status, created_at, pushed_at, attempts, finished_at)
    SELECT gen_random_uuid(),
        CASE WHEN n < 5000 THEN 'rare' ELSE 'noop' END,
        CASE WHEN n < 5500 AND n %% 2 = 0 THEN 'low' ELSE 'default' END,
        CASE WHEN n < 6000 AND n %% 3 = 0 THEN 'failed' ELSE 'succeeded' END,
        now() - interval '1 day' + n * interval '1 second', NULL, 1, now()
    FROM generate_series(1, %s) AS n
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def db(backends):
    with backends.sandbox() as settings:
        database = await Database.connect(settings)
        await database.fetch_all(FILL, [ROWS])
        await database.fetch_all("VACUUM ANALYZE tasks")
        yield database
        await database.close()


def combinations():
    """Every combination of filters, with a common and with a rare value for each."""
    values = {
        "status": (Status.SUCCEEDED, Status.FAILED),
        "priority": (Priority.DEFAULT, Priority.LOW),
        "type": ("noop", "rare"),
    }
    for number in range(len(values) + 1):
        for columns in itertools.combinations(values, number):
            for chosen in itertools.product(*(values[column] for column in columns)):
                yield dict(zip(columns, map(str, chosen), strict=True))


def rows_read(plan):
    """How many rows a plan has read from tables and indexes, with those that a filter threw away."""
    below = sum(rows_read(part) for part in plan.get("Plans", []))
    if "Scan" not in plan["Node Type"] or plan["Node Type"] == "Subquery Scan":
        return below
    removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    return below + (plan["Actual Rows"] + removed) * plan["Actual Loops"]


@pytest.mark.parametrize("place", ["the first page", "a page in the middle"])
@pytest.mark.parametrize("filters", list(combinations()), ids=lambda given: " ".join(given.values()) or "all")
async def test_a_page_costs_what_it_shows(db, filters, place):
    after = None
    if place != "the first page":
        row = await db.fetch_one(
            "SELECT created_at, task_id FROM tasks ORDER BY created_at OFFSET 10000 LIMIT 1"
        )
        after = Position(row["created_at"], row["task_id"])
    sql, params = statement(filters, after, PAGE)
    [row] = await db.fetch_all(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
    plan = row["QUERY PLAN"]
    plan = json.loads(plan) if isinstance(plan, str) else plan
    runs = max(1, sql.count("FROM tasks"))
    read = rows_read(plan[0]["Plan"])
    assert read <= PAGE * runs, f"{read} rows were read for a page of {PAGE}"


@pytest.mark.parametrize("filters", list(combinations()), ids=lambda given: " ".join(given.values()) or "all")
async def test_the_parts_of_a_list_are_the_same_list_as_the_plain_statement(db, filters):
    row = await db.fetch_one("SELECT created_at, task_id FROM tasks ORDER BY created_at OFFSET 1500 LIMIT 1")
    after = Position(row["created_at"], row["task_id"])
    where = " AND ".join(["(created_at, task_id) < (%s, %s)", *(f"{column} = %s" for column in filters)])
    plain = f"SELECT task_id FROM tasks WHERE {where} ORDER BY created_at DESC, task_id DESC LIMIT {PAGE}"
    wanted = await db.fetch_all(plain, [*after, *filters.values()])
    found = await db.fetch_all(*statement(filters, after, PAGE))
    assert [one["task_id"] for one in found] == [one["task_id"] for one in wanted]
