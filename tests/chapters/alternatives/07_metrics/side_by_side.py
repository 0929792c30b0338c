"""All questions at once; an age is computed in Python from the row that waits longest."""

import asyncio
from datetime import UTC, datetime

from redis.exceptions import RedisError
from scheduler.database import Unavailable
from scheduler.jobs import Priority

TASKS = [4, 5]

OLDEST = "SELECT queued_at FROM tasks WHERE status = 'queued' AND priority = %s ORDER BY pushed_at LIMIT 1"


async def refresh_depth(app):
    async def look(priority):
        length, row = await asyncio.gather(
            app.queue.redis.llen(app.parts.queue_name(priority)),
            app.db.fetch_one(OLDEST, [str(priority)]),
            return_exceptions=True,
        )
        app.metrics.depth(priority, float("nan") if isinstance(length, RedisError) else length)
        if isinstance(row, Unavailable):
            app.metrics.oldest_age(priority, float("nan"))
        else:
            age = 0.0 if row is None else (datetime.now(UTC) - row["queued_at"]).total_seconds()
            app.metrics.oldest_age(priority, age)

    await asyncio.gather(*map(look, Priority))
    return 0
