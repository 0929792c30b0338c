"""What prune deletes, and what it leaves although it looked old a moment ago."""

import asyncio
from datetime import timedelta

import pytest
from scheduler.app import App
from scheduler.cli.prune import _prune_views
from scheduler.prune import prune, prune_dead_letters

from tests.faults.tools import insert, rows
from tests.unit.test_one_job import until_waiting

pytestmark = pytest.mark.timeout(60)

WEEK = timedelta(days=7)
ENDED = """
    UPDATE tasks SET status = 'failed', pushed_at = NULL, finished_at = now() - interval '8 days',
        created_at = now() - interval '9 days'
"""
QUEUED_AGAIN = "UPDATE tasks SET status = 'queued', finished_at = NULL, pushed_at = now() WHERE task_id = %s"
ENDED_AGAIN = "UPDATE tasks SET status = 'succeeded', finished_at = now() WHERE task_id = %s"


@pytest.mark.parametrize("change", [QUEUED_AGAIN, ENDED_AGAIN], ids=["is queued", "has ended"])
async def test_a_job_that_is_requeued_while_it_is_pruned_stays(app: App, change: str) -> None:
    """The requeue has not committed when prune finds the job, and prune waits for its row."""
    old, again = await insert(app, 2)
    await app.db.fetch_all(ENDED)
    async with app.db._pool.connection() as somebody, somebody.transaction():
        await somebody.execute(change.encode(), [again])
        pruning = asyncio.create_task(prune(app.db, WEEK))
        await until_waiting(app, 1)
    assert await pruning == 1
    assert set(await rows(app)) == {again}
    assert old != again


async def test_no_more_are_deleted_at_once_than_a_batch(app: App) -> None:
    await insert(app, 3)
    await app.db.fetch_all(ENDED)
    assert [await prune(app.db, WEEK, batch=2) for _ in range(3)] == [2, 1, 0]


async def test_jobs_that_were_made_long_ago_and_ended_just_now_take_no_places_in_a_batch(app: App) -> None:
    await insert(app, 3)
    await app.db.fetch_all(ENDED)
    await app.db.fetch_all("UPDATE tasks SET finished_at = now(), created_at = now() - interval '1 year'")
    (old,) = await insert(app, 1)
    await app.db.fetch_all(f"{ENDED} WHERE task_id = %s", [old])
    assert await prune(app.db, WEEK, batch=1) == 1
    assert old not in await rows(app)


async def test_only_the_views_of_this_scheduler_are_pruned(app: App) -> None:
    redis = app.queue.redis
    for view in ("dlq:high", "one:dlq:high"):
        await redis.lpush(view, b"of a job that is gone")
    assert await prune_dead_letters(app.db, redis, "one:") == 1
    assert await redis.keys("*") == [b"dlq:high"]


@pytest.mark.parametrize("both", [True, False], ids=["both", "one"])
async def test_a_redis_of_another_system_than_the_database_s_is_left_alone(
    app: App, monkeypatch: pytest.MonkeyPatch, both: bool
) -> None:
    """The environment names the database, and `scheduler up` has a Redis of its own."""
    await app.queue.redis.lpush("one:dlq:high", b"of a job that is gone")
    for name, value in {"DATABASE_URL": "postgresql://here", "REDIS_HOST": "here" if both else ""}.items():
        monkeypatch.setenv(name, value)
    await _prune_views(app.settings.model_copy(update={"redis_prefix": "one:"}), app.db)
    assert await app.queue.redis.llen("one:dlq:high") == (0 if both else 1)
