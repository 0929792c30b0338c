"""The gauge of a queue that became empty is not touched."""

from scheduler.jobs import Priority

TEST = "test_task_5_goes_back_to_0_when_the_queue_is_empty"
SAYS = "the oldest age of a queue that became empty"

SQL = """
    SELECT priority, extract(epoch FROM now() - min(queued_at))::float8 AS age
    FROM tasks WHERE status = 'queued' GROUP BY priority
"""


async def refresh_depth(app):
    for row in await app.db.fetch_all(SQL):
        app.metrics.oldest_age(Priority(row["priority"]), row["age"])
    return 0
