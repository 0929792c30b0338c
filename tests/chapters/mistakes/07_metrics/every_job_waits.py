"""Jobs that are not queued count as waiting."""

from scheduler.jobs import Priority

TEST = "test_task_5_shows_0_when_nobody_waits"
SAYS = "only queued jobs wait"

SQL = "SELECT extract(epoch FROM now() - min(queued_at))::float8 AS age FROM tasks WHERE priority = %s"


async def refresh_depth(app):
    for priority in Priority:
        row = await app.db.fetch_one(SQL, [priority])
        app.metrics.oldest_age(priority, row["age"] or 0)
    return 0
