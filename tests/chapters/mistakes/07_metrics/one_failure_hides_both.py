"""One try around both: without Redis, the ages are not looked up either."""

import math

from redis.exceptions import RedisError
from scheduler.jobs import Priority
from scheduler.metrics import _refresh_ages

TEST = "test_task_5_still_shows_the_age_while_redis_is_away"
SAYS = "the database is there, and knows it"


async def refresh_depth(app):
    try:
        for priority in Priority:
            app.metrics.depth(priority, await app.queue.redis.llen(app.parts.queue_name(priority)))
        await _refresh_ages(app)
    except RedisError:
        for priority in Priority:
            app.metrics.depth(priority, math.nan)
            app.metrics.oldest_age(priority, math.nan)
    return 0
