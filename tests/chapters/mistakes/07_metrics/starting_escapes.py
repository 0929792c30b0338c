"""A database that starts is away, too, and another word for it is not caught."""

import psycopg
from scheduler import metrics
from scheduler.database import Unavailable
from scheduler.jobs import Priority

TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "while the database says CannotConnectNow"


async def refresh_depth(app):
    await metrics._refresh_depths(app)
    try:
        rows = await app.db.fetch_all(metrics.AGES, [[str(priority) for priority in Priority]])
    except Unavailable as error:
        if isinstance(error.__cause__, psycopg.errors.CannotConnectNow):
            raise
        rows = [{"priority": priority, "age": float("nan")} for priority in Priority]
    for row in rows:
        app.metrics.oldest_age(row["priority"], row["age"] or 0.0)
    return 0
